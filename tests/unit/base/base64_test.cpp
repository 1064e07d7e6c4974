#include "base/base64.hpp"

#include <gtest/gtest.h>

#include <utility>
#include <vector>

namespace export_worker {
namespace {

// RFC 4648, section 10.
TEST(Base64, MatchesTheStandardsExamples) {
    for (const auto& [bytes, text] :
         std::vector<std::pair<std::string, std::string>>{{"", ""},
                                                          {"f", "Zg=="},
                                                          {"fo", "Zm8="},
                                                          {"foo", "Zm9v"},
                                                          {"foobar", "Zm9vYmFy"},
                                                          {"\xfb\xff", "+/8="}}) {
        EXPECT_EQ(to_base64(bytes), text);
        EXPECT_EQ(from_base64(text), bytes);
    }
    for (const char* bad : {"Z", "Zg", "Zg=", "Zg==x", "Zh==", "Z*==", "=Zg=", "Zg==\n", "-_8="})
        EXPECT_FALSE(from_base64(bad)) << bad;
    std::string url;
    append_base64url(url, "\xfb\xff");
    EXPECT_EQ(url, "-_8");
}

TEST(Base64, UrlFormBothWays) {
    for (const std::string& bytes : {std::string(), std::string("f"), std::string("fo"),
                                     std::string("foo"), std::string("\xff\xfe\xfd\x00", 4)}) {
        std::string text;
        append_base64url(text, bytes);
        EXPECT_EQ(from_base64url(text), bytes);
        EXPECT_EQ(from_base64(to_base64(bytes)), bytes);
    }
}

TEST(Base64, UrlFormTakesOnlyWhatAnEncoderWrites) {
    for (const char* bad : {"A", "AA==", "AAA=", "AB", "A+AA", "A/AA", "AA A", "AAAAA", "\n"})
        EXPECT_FALSE(from_base64url(bad)) << bad;
    EXPECT_EQ(from_base64url("_-8"), "\xff\xef");
    EXPECT_FALSE(from_base64("_-8="));
}

}  // namespace
}  // namespace export_worker
