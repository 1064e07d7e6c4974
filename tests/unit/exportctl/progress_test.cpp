#include "exportctl/progress.hpp"

#include <gtest/gtest.h>

#include "exportctl/terminal.hpp"

namespace export_worker::exportctl {
namespace {

TEST(ProgressLine, ShowsABarAPercentageAndALabel) {
    EXPECT_EQ(progress_line(5, 10, "5/10", 80), "[###############...............]  50%  5/10");
    EXPECT_EQ(progress_line(99, 10, "99", 80), "[##############################] 100%  99");
    EXPECT_EQ(progress_line(7, 0, "7 files", 80), "7 files");
}

TEST(ProgressLine, NeverWraps) {
    const std::string label = "123456789 products imported";
    EXPECT_EQ(progress_line(1, 2, label, 49), "[######.......]  50%  " + label);
    for (std::size_t columns = 1; columns < 120; ++columns)
        EXPECT_LE(width_of(progress_line(1, 2, label, columns)), columns) << columns;
}

}  // namespace
}  // namespace export_worker::exportctl
