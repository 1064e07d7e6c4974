#include "base/io.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "base/file_lock.hpp"
#include "base/log.hpp"
#include "tests/unit/support/orphan.hpp"
#include "tests/unit/support/syncs.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

using testing::TempDir;

TEST(ReadFile, BoundsWhatItReadsAndNamesThePath) {
    const TempDir dir;
    const std::string path = dir.write("f", "12345");
    EXPECT_EQ(*read_file(path, 5), "12345");
    EXPECT_EQ(read_file(path, 4).error().code, ErrorCode::kInvalidArgument);
    const auto missing = read_file(dir / "none", 5);
    EXPECT_EQ(missing.error().code, ErrorCode::kNotFound);
    EXPECT_NE(missing.error().message.find(dir / "none"), std::string::npos);
    EXPECT_EQ(read_file(dir.path(), 5).error().code, ErrorCode::kInvalidArgument);
}

TEST(ReadSecretFile, RefusesOneThatOthersMayRead) {
    const TempDir dir;
    EXPECT_TRUE(read_secret_file(dir.write("good", "s", 0640), 10));
    const auto bad = read_secret_file(dir.write("bad", "s", 0644), 10);
    EXPECT_EQ(bad.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(bad.error().message.find("chmod"), std::string::npos);
}

TEST(ReadTrustedFile, RefusesOneThatOthersMayWrite) {
    const TempDir dir;
    EXPECT_TRUE(read_trusted_file(dir.write("good", "s", 0644), 10));
    for (const int mode : {0620, 0602, 0666}) {
        const std::string path = dir.write("bad", "s", mode);
        const auto bad = read_trusted_file(path, 10);
        EXPECT_EQ(bad.error().code, ErrorCode::kFailedPrecondition);
        EXPECT_NE(bad.error().message.find("chmod go-w " + path), std::string::npos);
        EXPECT_EQ(check_trusted_file(path).error().message, bad.error().message);
    }
    EXPECT_TRUE(check_trusted_file(dir / "good"));
    EXPECT_EQ(check_trusted_file(dir / "none").error().code, ErrorCode::kNotFound);
}

TEST(MakePrivateFile, LeavesNothingToOthers) {
    const TempDir dir;
    const auto mode = [&](const std::string& name) {
        struct stat info {};
        EXPECT_EQ(::stat((dir / name).c_str(), &info), 0);
        return info.st_mode & 07777U;
    };
    const mode_t before = ::umask(0);
    EXPECT_TRUE(make_private_file(dir / "new"));
    ::umask(before);
    EXPECT_EQ(mode("new"), 0600U);
    dir.write("old", "kept", 0664);
    EXPECT_TRUE(make_private_file(dir / "old"));
    EXPECT_EQ(mode("old"), 0600U);
    EXPECT_EQ(testing::read_text(dir / "old"), "kept");
    dir.write("target", "", 0644);
    std::filesystem::create_symlink("target", dir / "link");
    EXPECT_TRUE(make_private_file(dir / "link"));
    EXPECT_EQ(mode("target"), 0644U) << "not through a link";
    EXPECT_TRUE(make_private(dir / "none"));
    EXPECT_FALSE(std::filesystem::exists(dir / "none"));
    EXPECT_EQ(make_private_file(dir / "none/f").error().code, ErrorCode::kNotFound);
}

TEST(MakeDirectories, CreatesParentsAndRefusesAFileInTheWay) {
    const TempDir dir;
    ASSERT_TRUE(make_directories(dir / "a/b/c", 0750));
    ASSERT_TRUE(make_directories(dir / "a/b/c", 0750));
    EXPECT_TRUE(std::filesystem::is_directory(dir / "a/b/c"));
    dir.write("file", "");
    EXPECT_FALSE(make_directories(dir / "file", 0750));
}

TEST(MakeDirectories, SyncsTheParentOfEachItMakes) {
    const TempDir dir;
    ASSERT_TRUE(make_directories(dir / "a", 0750));
    const testing::Syncs syncs;
    ASSERT_TRUE(make_directories(dir / "a/b/c", 0750));
    EXPECT_EQ(syncs.paths(), (std::vector<std::string>{dir / "a", dir / "a/b"}));
}

// A crash keeps the old file or the whole new one, and what was published stays so.
TEST(PublishFile, SyncsTheFileBeforeItHasItsNameAndTheDirectoryAfterwards) {
    const TempDir dir;
    const std::string part = dir.write("f.part", "new");
    dir.write("f", "old");
    const testing::Syncs syncs;
    ASSERT_TRUE(publish_file(part, dir / "f"));
    EXPECT_EQ(syncs.paths(), (std::vector<std::string>{part, dir.path()}));
    EXPECT_EQ(testing::read_text(dir / "f"), "new");
    EXPECT_FALSE(std::filesystem::exists(part));
}

TEST(PublishFile, LeavesADirectoryInTheWay) {
    const TempDir dir;
    const std::string part = dir.write("f.part", "new");
    std::filesystem::create_directory(dir / "f");
    const auto refused = publish_file(part, dir / "f");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("rename " + part + " to " + (dir / "f")),
              std::string::npos)
        << refused.error().message;
    EXPECT_TRUE(std::filesystem::is_directory(dir / "f"));
}

TEST(FileLock, HasOneHolderAndNamesIt) {
    const TempDir dir;
    {
        const auto held = FileLock::acquire(dir / "lock");
        ASSERT_TRUE(held);
        const auto second = FileLock::acquire(dir / "lock");
        ASSERT_FALSE(second);
        EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
        EXPECT_NE(second.error().message.find("pid " + std::to_string(::getpid())),
                  std::string::npos);
    }
    EXPECT_TRUE(FileLock::acquire(dir / "lock"));
}

TEST(FileLock, EndsWithItsProcessWhateverThatHasForked) {
    const TempDir dir;
    const testing::Orphan orphan([&] {
        // Held until the end of the process.
        const auto* const held = new Result<FileLock>(FileLock::acquire(dir / "lock"));
        if (!*held) ::_exit(1);
    });
    ASSERT_TRUE(orphan.runs());
    EXPECT_TRUE(FileLock::acquire(dir / "lock"));
}

TEST(FileLock, AnythingButAFileStaysUntilItIsRemoved) {
    const TempDir dir;
    std::filesystem::create_directory(dir / "lock");
    EXPECT_EQ(FileLock::acquire(dir / "lock").error().code, ErrorCode::kFailedPrecondition);
    std::filesystem::remove(dir / "lock");
    ASSERT_EQ(::mkfifo((dir / "lock").c_str(), 0600), 0);
    EXPECT_EQ(FileLock::acquire(dir / "lock").error().code, ErrorCode::kFailedPrecondition);
    std::filesystem::remove(dir / "lock");
    EXPECT_TRUE(FileLock::acquire(dir / "lock"));
}

TEST(ReadTrustedFile, RefusesOneOfAnotherUser) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root can give a file away";
    const TempDir dir;
    const std::string path = dir.write("good", "s", 0600);
    ASSERT_EQ(::chown(path.c_str(), 65534, 65534), 0);
    for (const auto& read : {read_trusted_file(path, 10), read_secret_file(path, 10)}) {
        ASSERT_FALSE(read);
        EXPECT_EQ(read.error().code, ErrorCode::kFailedPrecondition);
        EXPECT_NE(read.error().message.find("expected one of root, found one of nobody"),
                  std::string::npos)
            << read.error().message;
    }
    EXPECT_TRUE(read_secret_file(path, 10, 65534));
}

TEST(CheckTrustedFile, RefusesADirectoryWhereOthersMayAddNames) {
    const TempDir dir;
    std::filesystem::permissions(dir.path(), std::filesystem::perms(01777));
    EXPECT_FALSE(check_trusted_file(dir.path()));
    EXPECT_FALSE(check_unshared(dir.path()));
    EXPECT_TRUE(read_trusted_file(dir.write("below", "s", 0600), 10)) << "as below /tmp";
}

TEST(CheckDirectory, KnowsWhatIsNone) {
    const TempDir dir;
    EXPECT_TRUE(check_directory(dir.path(), true));
    EXPECT_TRUE(check_directory(dir / "none", false));
    EXPECT_EQ(check_directory(dir / "none", true).error().code, ErrorCode::kNotFound);
    std::filesystem::create_symlink(dir / "none", dir / "dangling");
    EXPECT_EQ(check_directory(dir / "dangling", false).error().code,
              ErrorCode::kFailedPrecondition);
    EXPECT_EQ(check_directory(dir.write("file", ""), false).error().code,
              ErrorCode::kFailedPrecondition);
}

TEST(CheckDirectory, ALoopOfSymbolicLinksIsCalledSo) {
    const TempDir dir;
    std::filesystem::create_symlink(dir / "loop", dir / "loop");
    const auto checked = check_directory(dir / "loop", false);
    ASSERT_FALSE(checked);
    EXPECT_NE(checked.error().message.find("in a circle"), std::string::npos)
        << checked.error().message;
    EXPECT_EQ(make_directories(dir / "loop", 0750).error().code, ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace export_worker
