#include "exportctl/table.hpp"

#include <gtest/gtest.h>

#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {
namespace {

using Lines = std::vector<std::string>;

const Row kHeaders{"JOB", "STATUS", "DETAIL"};
const std::vector<Row> kRows{{"0123456789", "failed", "the store did not answer"},
                             {"abcdefghij", "ok", ""}};

TEST(LayOut, GivesEveryColumnItsWidestCell) {
    const Table table = lay_out(kHeaders, kRows, 0);
    EXPECT_EQ(table.header_lines, 1U);
    EXPECT_EQ(table.lines,
              (Lines{"JOB         STATUS  DETAIL", "0123456789  failed  the store did not answer",
                     "abcdefghij  ok"}));
    EXPECT_EQ(lay_out(kHeaders, kRows, 44).lines, table.lines);
}

TEST(LayOut, BreaksCellsAtBlanks) {
    EXPECT_EQ(lay_out(kHeaders, kRows, 36).lines,
              (Lines{"JOB         STATUS  DETAIL", "0123456789  failed  the store did",
                     "                    not answer", "abcdefghij  ok"}));
}

TEST(LayOut, PutsTheFirstCellOnItsOwnLine) {
    const Table table = lay_out(kHeaders, kRows, 20);
    EXPECT_EQ(table.header_lines, 2U);
    EXPECT_EQ(table.lines, (Lines{"JOB", "  STATUS  DETAIL", "0123456789", "  failed  the store",
                                  "          did not", "          answer", "abcdefghij", "  ok"}));
}

TEST(LayOut, PrintsALineACellWhereNothingElseFits) {
    EXPECT_EQ(
        lay_out(kHeaders, {kRows[1], kRows[0]}, 10).lines,
        (Lines{"JOB:", "  abcdefghij", "STATUS: ok", "DETAIL:", "", "JOB:", "  0123456789",
               "STATUS:", "  failed", "DETAIL:", "  the", "  store", "  did not", "  answer"}));
}

TEST(LayOut, PrintsTheHeadersOfAnEmptyTable) {
    EXPECT_EQ(lay_out(kHeaders, {}, 12).lines, (Lines{"JOB STATUS", "DETAIL"}));
    EXPECT_EQ(lay_out(kHeaders, {}, 12).header_lines, 2U);
}

TEST(LayOut, ASingleColumnHasNothingToGive) {
    EXPECT_EQ(lay_out({"N"}, {{"1234567"}}, 3).lines, (Lines{"N:", "  1234567"}));
    EXPECT_EQ(lay_out({"N"}, {}, 3).lines, (Lines{"N"}));
}

TEST(LayOut, FitsEveryWidthThatItsWordsFit) {
    for (std::size_t columns = 21; columns < 60; ++columns) {
        for (const std::string& line : lay_out(kHeaders, kRows, columns).lines)
            EXPECT_LE(width_of(line), columns) << line;
    }
}

TEST(Wrap, BreaksAtBlanksAndKeepsWordsWhole) {
    EXPECT_EQ(wrap("one two three", 7), (Lines{"one two", "three"}));
    EXPECT_EQ(wrap("incomprehensible", 5), (Lines{"incomprehensible"}));
    EXPECT_EQ(wrap("größer ü", 8), (Lines{"größer ü"}));
    EXPECT_EQ(wrap("", 5), (Lines{""}));
}

}  // namespace
}  // namespace export_worker::exportctl
