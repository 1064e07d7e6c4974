#include "exportctl/terminal.hpp"

#include <fcntl.h>

#include <gtest/gtest.h>

#include "base/unique_fd.hpp"

namespace export_worker::exportctl {
namespace {

TEST(Terminal, AFileIsNone) {
    const UniqueFd file(::open("/dev/null", O_WRONLY | O_CLOEXEC));
    EXPECT_EQ(columns_of(file.get()), 0U);
    EXPECT_FALSE(takes_escapes(file.get()));
    EXPECT_FALSE(takes_colors(file.get()));
}

TEST(Terminal, CountsCharactersAndCutsBetweenThem) {
    EXPECT_EQ(width_of("größe"), 5U);
    EXPECT_EQ(cut_to("größe", 3), "grö");
    EXPECT_EQ(cut_to("größe", 9), "größe");
    EXPECT_EQ(cut_to("größe", 0), "");
}

}  // namespace
}  // namespace export_worker::exportctl
