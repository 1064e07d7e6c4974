#include "base/text.hpp"

#include <gtest/gtest.h>

#include <array>

namespace export_worker {
namespace {

TEST(Utf8, AcceptsEveryLengthAndRefusesOverlongSurrogatesAndTruncation) {
    for (const char* good : {"", "a", "é", "€", "🟢", "\xf4\x8f\xbf\xbf"})
        EXPECT_TRUE(is_valid_utf8(good)) << good;
    for (const char* bad :
         {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xed\xa0\x80", "\xf0\x80\x80\x80",
          "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xe2\x82", "a\xff"}) {
        EXPECT_FALSE(is_valid_utf8(bad)) << bad;
    }
    // Wherever it stands among ASCII, which is skipped by the word.
    for (std::size_t before = 0; before < 20; ++before) {
        for (std::size_t after = 0; after < 20; ++after) {
            const std::string head(before, 'a');
            const std::string tail(after, 'z');
            EXPECT_TRUE(is_valid_utf8(head + "€" + tail));
            EXPECT_FALSE(is_valid_utf8(head + "\xe2\x82" + tail));
        }
    }
}

TEST(Utf8, PrefixNeverCutsACharacter) {
    EXPECT_EQ(utf8_prefix("a€b", 3), "a");
    EXPECT_EQ(utf8_prefix("a€b", 4), "a€");
    EXPECT_EQ(utf8_prefix("a\xff", 9), "a");
}

TEST(OrganizationId, IsSafeInAPath) {
    for (const char* good : {"a", "acme", "Acme-1_2.3"})
        EXPECT_TRUE(is_organization_id(good)) << good;
    for (const char* bad : {"", ".", "..", "-a", "a/b", "a b", "é", "*"})
        EXPECT_FALSE(is_organization_id(bad)) << bad;
    EXPECT_TRUE(is_organization_id(std::string(64, 'a')));
    EXPECT_FALSE(is_organization_id(std::string(65, 'a')));
}

TEST(ParseUnsigned, TakesDigitsOnly) {
    EXPECT_EQ(parse_unsigned("0"), 0U);
    EXPECT_EQ(parse_unsigned("18446744073709551615"), 18446744073709551615ULL);
    for (const char* bad : {"", "-1", "+1", " 1", "1 ", "1.0", "18446744073709551616", "0x1"}) {
        EXPECT_FALSE(parse_unsigned(bad)) << bad;
    }
}

TEST(Printable, ReplacesWhatATerminalWouldObey) {
    EXPECT_EQ(printable("a\x1b[31m\n\xff"), "a?[31m??");
    EXPECT_EQ(printable("abcdef", 3), "abc...");
}

TEST(Closest, FindsATypingErrorAndNothingElse) {
    const std::array<std::string_view, 2> known{"workers", "state_dir"};
    EXPECT_EQ(closest("worker", known.data(), known.size()), "workers");
    EXPECT_FALSE(closest("elephant", known.data(), known.size()));
}

TEST(Text, LineEndsBehindASecretAreNoPartOfIt) {
    EXPECT_EQ(without_line_end("secret\r\n"), "secret");
    EXPECT_EQ(without_line_end("two\nlines\n\n"), "two\nlines");
    EXPECT_EQ(without_line_end(" \n "), " \n ");
    EXPECT_EQ(without_line_end("\n"), "");
}

TEST(EscapeControls, NothingMovesTheTerminalOrBeginsALine) {
    EXPECT_EQ(escape_controls("a\r\nb\tc\x1b[2J\x7f"), "a\\r\\nb\\tc\\u001b[2J\\u007f");
    EXPECT_EQ(escape_controls("\xc2\x9b"
                              "31m\xc2\x85"),
              "\\u009b31m\\u0085");
    EXPECT_EQ(escape_controls("\xe2\x80\xaegpj\xe2\x80\xac\xe2\x81\xa6\xe2\x81\xa9\xe2\x80\xa8"),
              "\\u202egpj\\u202c\\u2066\\u2069\\u2028");
    EXPECT_EQ(escape_controls("\x9b"
                              "31m\xff\xe2\x80"),
              "\\x9b31m\\xff\\xe2\\x80");
    EXPECT_EQ(escape_controls(std::string_view("\0", 1)), "\\u0000");
}

TEST(EscapeControls, TextStaysAsItIs) {
    for (const char* text :
         {"", "plain", "C:\\new", "é Å 北極星 🟢", "\xc2\xa0\xe2\x80\xa7\xe2\x80\xaf"}) {
        EXPECT_EQ(escape_controls(text), text);
    }
    const std::string once = escape_controls("a\n\x1b\xff");
    EXPECT_EQ(escape_controls(once), once);
}

}  // namespace
}  // namespace export_worker
