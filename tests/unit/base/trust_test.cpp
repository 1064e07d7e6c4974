#include "base/trust.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

namespace fs = std::filesystem;

TEST(Trust, OwnersAreRootTheUserAndNobodyElseOfThisMachine) {
    EXPECT_TRUE(is_trusted_owner(0));
    EXPECT_TRUE(is_trusted_owner(::geteuid()));
    EXPECT_FALSE(is_trusted_owner(65534));
    EXPECT_TRUE(is_trusted_owner(65534, 65534));
    EXPECT_TRUE(is_trusted_owner(3'999'999'999U)) << "no user has this number";
    EXPECT_EQ(root_or(0), "root");
    EXPECT_EQ(root_or(65534), "root or nobody");
}

TEST(Trust, DirectoriesAboveAreHeldToTheRule) {
    const testing::TempDir dir;
    fs::create_directories(dir / "a/b");
    const std::string path = dir.write("a/b/file", "x");
    EXPECT_TRUE(check_directories_above(path));
    fs::permissions(dir / "a", fs::perms(0775));
    const auto refused = check_directories_above(path);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_TRUE(refused.error().message.ends_with("run chmod go-w " + (dir / "a")))
        << refused.error().message;
    fs::permissions(dir / "a", fs::perms(01777));
    EXPECT_TRUE(check_directories_above(path)) << "as /tmp is";
}

TEST(Trust, WhereALinkLeadsCounts) {
    const testing::TempDir dir;
    fs::create_directories(dir / "shared");
    dir.write("shared/file", "x");
    fs::create_directories(dir / "own");
    fs::create_symlink(dir / "shared", dir / "own/link");
    fs::permissions(dir / "shared", fs::perms(0777));
    EXPECT_FALSE(check_directories_above(dir / "own/link/file"));
    fs::permissions(dir / "shared", fs::perms(0755));
    fs::permissions(dir / "own", fs::perms(0777));
    EXPECT_FALSE(check_directories_above(dir / "own/link/file"));
}

TEST(Trust, ADirectoryOfAnotherUserIsRefused) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a directory away";
    const testing::TempDir dir;
    fs::create_directories(dir / "a");
    ASSERT_EQ(::chown((dir / "a").c_str(), 65534, 65534), 0);
    const auto refused = check_directories_above(dir.write("a/file", "x"));
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("of nobody; run chown root " + (dir / "a")),
              std::string::npos)
        << refused.error().message;
    EXPECT_TRUE(check_directories_above(dir / "a/file", 65534));
}

}  // namespace
}  // namespace export_worker
