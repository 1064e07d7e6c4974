#include "exportctl/plugin_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::exportctl {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kBytesMax = 100;

class PluginFileTest : public ::testing::Test {
protected:
    static std::string refusal(const std::string& path, uid_t daemon_uid = 0) {
        const auto read = read_code(path, kBytesMax, daemon_uid);
        return read ? "read" : read.error().message;
    }
    const testing::TempDir dir_;
};

TEST_F(PluginFileTest, IsReadWhole) {
    const auto read = read_code(dir_.write("p.so", "code"), kBytesMax, 0);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(*read, "code");
    EXPECT_EQ(refusal(dir_.write("large.so", std::string(kBytesMax, 'x'))), "read");
    EXPECT_NE(refusal(dir_.write("larger.so", std::string(kBytesMax + 1, 'x'))).find("at most"),
              std::string::npos);
}

TEST_F(PluginFileTest, WhatOthersMayWriteIsRefused) {
    for (const int mode : {0620, 0602, 0666})
        EXPECT_NE(refusal(dir_.write("p.so", "code", mode)).find("run chmod go-w"),
                  std::string::npos);
    fs::create_directory(dir_ / "shared");
    const std::string inside = dir_.write("shared/p.so", "code");
    fs::permissions(dir_ / "shared", fs::perms(0775));
    EXPECT_NE(refusal(inside).find("run chmod go-w " + (dir_ / "shared")), std::string::npos);
    fs::permissions(dir_ / "shared", fs::perms(01777));
    EXPECT_EQ(refusal(inside), "read");
}

TEST_F(PluginFileTest, OnlyRegularFilesAreRead) {
    const std::string file = dir_.write("p.so", "code");
    fs::create_symlink(file, dir_ / "link.so");
    EXPECT_NE(refusal(dir_ / "link.so").find("symbolic link"), std::string::npos);
    EXPECT_NE(refusal(dir_.path()).find("expected a regular file"), std::string::npos);
    EXPECT_EQ(read_code(dir_ / "none.so", kBytesMax, 0).error().code, ErrorCode::kNotFound);
}

TEST_F(PluginFileTest, AnotherUsersFileIsRefusedUnlessItIsTheDaemons) {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
    constexpr uid_t kOther = 65534;
    const std::string path = dir_.write("p.so", "code");
    ASSERT_EQ(::chown(path.c_str(), kOther, kOther), 0);
    EXPECT_NE(refusal(path).find("found one of uid 65534"), std::string::npos);
    EXPECT_EQ(refusal(path, kOther), "read");
}

}  // namespace
}  // namespace export_worker::exportctl
