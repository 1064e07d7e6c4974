#include "daemon/plugin_host/trust.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugin_host {
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

TEST_F(TrustTest, PathsThatNameNoFile) {
    for (const std::string& path : {std::string(), std::string("p.so"), std::string("/")})
        EXPECT_TRUE(verdict(path).starts_with("io: ")) << path;
    EXPECT_EQ(verdict(dir_ / "none/p.so"), "io: nothing at " + (dir_ / "none"));
    EXPECT_EQ(verdict(dir_ / "safe/none.so"), "io: nothing at " + (dir_ / "safe/none.so"));
}

}  // namespace
}  // namespace export_worker::plugin_host
