#include "daemon/plugins/staging/trust.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

namespace fs = std::filesystem;

class TrustTest : public ::testing::Test {
protected:
    TrustTest() {
        fs::create_directory(dir_ / "safe");
        fs::permissions(dir_ / "safe", fs::perms(0755));
        dir_.write("safe/p.so", "x", 0755);
    }
    // "ok", or the code and what was found.
    static std::string verdict(const std::string& path) {
        const auto opened = open_trusted(path);
        return opened ? "ok" : opened.error().code + ": " + opened.error().found;
    }
    const testing::TempDir dir_;
};

TEST_F(TrustTest, TakesAFileThatOnlyItsOwnerCanChange) {
    EXPECT_EQ(verdict(dir_ / "safe/p.so"), "ok");
    fs::create_directory_symlink(dir_ / "safe", dir_ / "link");
    EXPECT_EQ(verdict(dir_ / "link/p.so"), "ok") << "a link that only we can change";
}

// Whoever may write the directory that a link lies in decides where it leads.
TEST_F(TrustTest, ALinkIsOnlyAsSafeAsTheDirectoryItLiesIn) {
    fs::create_directory(dir_ / "open");
    fs::create_directory_symlink(dir_ / "safe", dir_ / "open/link");
    EXPECT_EQ(verdict(dir_ / "open/link/p.so"), "ok");
    fs::permissions(dir_ / "open", fs::perms(0777));
    EXPECT_EQ(verdict(dir_ / "open/link/p.so"),
              "ownership: " + (dir_ / "open") + " is writable by group or others");
    fs::permissions(dir_ / "open", fs::perms(01777));
    EXPECT_EQ(verdict(dir_ / "open/link/p.so"), "ok") << "sticky, as /tmp is";
}

TEST_F(TrustTest, NamesTheFirstThingOthersCanChange) {
    fs::permissions(dir_ / "safe/p.so", fs::perms(0757));
    EXPECT_EQ(verdict(dir_ / "safe/p.so"),
              "ownership: " + (dir_ / "safe/p.so") + " is writable by group or others");
    fs::permissions(dir_ / "safe", fs::perms(0775));
    EXPECT_EQ(verdict(dir_ / "safe/p.so"),
              "ownership: " + (dir_ / "safe") + " is writable by group or others");
}

TEST_F(TrustTest, AFileOfAnotherUserIsRefused) {
    const std::string file = dir_ / "safe/p.so";
    if (::chown(file.c_str(), 12345, 0) != 0) {
        // Only root can give a file away; what root gave to others is there for everybody.
        ASSERT_EQ(errno, EPERM);
        return;
    }
    EXPECT_EQ(verdict(file), "ownership: " + file + " owned by user 12345");
}

TEST_F(TrustTest, PathsThatNameNoFile) {
    for (const std::string& path : {std::string(), std::string("p.so"), std::string("/")})
        EXPECT_TRUE(verdict(path).starts_with("io: ")) << path;
    EXPECT_EQ(verdict(dir_ / "none/p.so"), "io: nothing at " + (dir_ / "none"));
    EXPECT_EQ(verdict(dir_ / "safe/none.so"), "io: nothing at " + (dir_ / "safe/none.so"));
    const std::string file = dir_ / "safe/p.so";
    EXPECT_EQ(verdict(file + "/x.so"), "io: open " + file + ": Not a directory");
    EXPECT_EQ(verdict(file + "/d/x.so"), "io: stat " + file + "/d: Not a directory");
    const std::string long_name = dir_ / ("safe/" + std::string(300, 'p'));
    EXPECT_EQ(verdict(long_name), "io: open " + long_name + ": File name too long");
}

}  // namespace
}  // namespace export_worker::plugins
