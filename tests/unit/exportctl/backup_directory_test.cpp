#include "exportctl/backup_directory.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>

#include "base/hex.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::exportctl {
namespace {

namespace fs = std::filesystem;

BackupFile file_of(const std::string& name, const std::string& text) {
    return {name, static_cast<std::int64_t>(text.size()), to_hex(crypto::sha256(text))};
}

class BackupDirectoryTest : public ::testing::Test {
protected:
    Result<BackupManifest> write(const std::string& path, bool is_committed = true) {
        EW_TRY(BackupDirectory directory, BackupDirectory::create(path));
        BackupManifest manifest{"1.2.3", "2026-11-27T12:00:00Z", {}};
        for (const std::string& name :
             {std::string("jobs.db"), std::string("catalog.db"), std::string("auth.db"),
              std::string("plugins.db"), plugin_}) {
            const std::string rest = name == plugin_ ? "plugin" : name;
            manifest.files.push_back(file_of(name, "bytes of " + rest));
            EW_CHECK(directory.begin_file(manifest.files.back()));
            EW_CHECK(directory.append("bytes of "));
            EW_CHECK(directory.append(rest));
            EW_CHECK(directory.end_file());
        }
        if (is_committed) EW_CHECK(directory.commit(manifest));
        return manifest;
    }
    static mode_t mode_of(const std::string& path) {
        struct stat info {};
        EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
        return info.st_mode & 07777U;
    }
    std::string refusal(const std::string& path) {
        const auto refused = BackupDirectory::create(path);
        return refused ? "created" : refused.error().message;
    }

    const testing::TempDir dir_;
    const std::string plugin_ =
        "plugins/artifacts/" + to_hex(crypto::sha256("bytes of plugin")) + ".so";
};

TEST_F(BackupDirectoryTest, IsCompleteWithItsManifest) {
    const std::string path = dir_ / "backup";
    const auto manifest = write(path);
    ASSERT_TRUE(manifest) << manifest.error().message;
    EXPECT_EQ(parse_backup_manifest(testing::read_text(path + "/manifest.json")), *manifest);
    EXPECT_EQ(testing::read_text(path + "/auth.db"), "bytes of auth.db");
    std::size_t files = 0;
    for (const auto& entry : fs::recursive_directory_iterator(path)) {
        EXPECT_EQ(mode_of(entry.path()), entry.is_directory() ? 0700U : 0600U) << entry.path();
        files += entry.is_directory() ? 0U : 1U;
    }
    EXPECT_EQ(files, 6U);
    EXPECT_EQ(mode_of(path), 0700U);
}

TEST_F(BackupDirectoryTest, TheDirectoryAboveItMustBeThere) {
    for (const char* name : {"new/backup", "new/backup/", "new/a/backup"}) {
        const auto refused = BackupDirectory::create(dir_ / name);
        ASSERT_FALSE(refused) << name;
        EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
        EXPECT_NE(refused.error().message.find("make it first (mkdir -p)"), std::string::npos)
            << refused.error().message;
    }
    EXPECT_FALSE(fs::exists(dir_ / "new"));
    ASSERT_TRUE(write(dir_ / "backup/"));
}

TEST_F(BackupDirectoryTest, WithoutCommitNothingIsLeft) {
    ASSERT_TRUE(write(dir_ / "backup", false));
    EXPECT_FALSE(fs::exists(dir_ / "backup"));
    fs::create_directory(dir_ / "empty");
    ASSERT_TRUE(write(dir_ / "empty", false));
    EXPECT_TRUE(fs::is_empty(dir_ / "empty"));
}

TEST_F(BackupDirectoryTest, AnEmptyDirectoryBecomesPrivate) {
    fs::create_directory(dir_ / "empty");
    fs::permissions(dir_ / "empty", fs::perms(0755));
    ASSERT_TRUE(write(dir_ / "empty"));
    EXPECT_EQ(mode_of(dir_ / "empty"), 0700U);
}

TEST_F(BackupDirectoryTest, NothingIsOverwritten) {
    ASSERT_TRUE(write(dir_ / "backup"));
    EXPECT_NE(refusal(dir_ / "backup").find("found a backup"), std::string::npos);
    fs::remove(dir_ / "backup/manifest.json");
    EXPECT_NE(refusal(dir_ / "backup").find("expected a new or empty directory"),
              std::string::npos);
    EXPECT_NE(refusal(dir_ / "backup").find("found a backup that was cut off; delete it (rm -r "),
              std::string::npos);
    dir_.write("backup/notes.txt", "x");
    EXPECT_NE(refusal(dir_ / "backup").find("found one with notes.txt"), std::string::npos);
    EXPECT_NE(refusal(dir_.write("file", "x")).find("file"), std::string::npos);
    EXPECT_EQ(testing::read_text(dir_ / "backup/jobs.db"), "bytes of jobs.db");
}

TEST_F(BackupDirectoryTest, OtherBytesThanAnnouncedAreDataLoss) {
    auto directory = BackupDirectory::create(dir_ / "backup");
    ASSERT_TRUE(directory);
    ASSERT_TRUE(directory->begin_file(file_of("jobs.db", "abc")));
    ASSERT_TRUE(directory->append("ab"));
    EXPECT_EQ(directory->end_file().error().code, ErrorCode::kDataLoss);
    ASSERT_TRUE(directory->begin_file(file_of("auth.db", "abc")));
    ASSERT_TRUE(directory->append("abd"));
    EXPECT_EQ(directory->end_file().error().code, ErrorCode::kDataLoss);
    ASSERT_TRUE(directory->begin_file(file_of("catalog.db", "abc")));
    EXPECT_EQ(directory->append("abcd").error().code, ErrorCode::kDataLoss);
}

TEST_F(BackupDirectoryTest, WhatDoesNotFitIsAnError) {
    const std::string text(100'000, 'x');
    auto directory = BackupDirectory::create(dir_ / "backup");
    ASSERT_TRUE(directory && directory->begin_file(file_of("jobs.db", text)));
    const testing::ResourceLimit bound(RLIMIT_FSIZE, 16'384);
    const auto refused = directory->append(text);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("write " + (dir_ / "backup/jobs.db")),
              std::string::npos);
}

}  // namespace
}  // namespace export_worker::exportctl
