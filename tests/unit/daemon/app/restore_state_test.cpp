#include "daemon/app/restore_state.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::app {
namespace {

namespace fs = std::filesystem;

class RestoreStateTest : public ::testing::Test {
protected:
    void SetUp() override {
        fs::create_directory(state_);
        fs::create_directories(backup_ + "/" + std::string(kBackupPluginsDirectory));
        for (const char* name : {"", "/plugins", "/plugins/artifacts"})
            fs::permissions(backup_ + name, fs::perms(0700));
        ASSERT_TRUE(jobs::open_sqlite_job_store(backup_ + "/jobs.db", clock_));
        ASSERT_TRUE(catalog::open_sqlite_catalog_store(backup_ + "/catalog.db", clock_));
        ASSERT_TRUE(auth::open_sqlite_auth_store(backup_ + "/auth.db"));
        ASSERT_TRUE(plugins::History::open(backup_ + "/plugins.db", clock_));
        dir_.write("backup/" + plugin_, "elf");
        list();
    }
    // Writes a manifest of what is there.
    void list() {
        BackupManifest manifest{"1.2.3", "2026-11-27T12:00:00Z", {}};
        std::vector<std::string> names(kBackupDatabases.begin(), kBackupDatabases.end());
        names.push_back(plugin_);
        for (const std::string& name : names) {
            const std::string text = testing::read_text(backup_ + "/" + name);
            manifest.files.push_back(
                {name, static_cast<std::int64_t>(text.size()), to_hex(crypto::sha256(text))});
        }
        dir_.write("backup/manifest.json", encode_backup_manifest(manifest));
    }
    std::string refusal() {
        const auto backup = OpenBackup::open(backup_, ::geteuid());
        if (!backup) return backup.error().message;
        const auto staged = stage_restore(*backup, state_);
        return staged ? "staged" : staged.error().message;
    }
    FinishedRestore finish() {
        auto done = finish_restore(state_, clock_);
        EXPECT_TRUE(done) << done.error().message;
        return done ? *done : FinishedRestore{};
    }
    [[nodiscard]] std::string restored(const std::string& name) const {
        return testing::read_text(state_ + "/" + name);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    const std::string state_ = dir_ / "state";
    const std::string backup_ = dir_ / "backup";
    const std::string plugin_ = "plugins/artifacts/" + to_hex(crypto::sha256("elf")) + ".so";
};

TEST_F(RestoreStateTest, ABackupGoesIntoAnEmptyState) {
    EXPECT_TRUE(state_in_use(state_).empty());
    ASSERT_EQ(refusal(), "staged");
    const FinishedRestore done = finish();
    EXPECT_TRUE(done.was_staged);
    EXPECT_EQ(done.before, "");
    for (const std::string_view database : kBackupDatabases)
        EXPECT_EQ(restored(std::string(database)),
                  testing::read_text(backup_ + "/" + std::string(database)));
    EXPECT_EQ(restored(plugin_), "elf");
    EXPECT_EQ(state_in_use(state_).size(), 5U);
    EXPECT_FALSE(fs::exists(state_ + "/restore"));
    EXPECT_FALSE(finish().was_staged);
}

TEST_F(RestoreStateTest, WhatWasThereIsKept) {
    fs::create_directory(state_ + "/plugins");
    dir_.write("state/plugins/crashes", "record");
    for (const char* name : {"jobs.db", "jobs.db-wal", "auth.db", "auth.db-shm"})
        dir_.write(std::string("state/") + name, std::string("old ") + name);
    EXPECT_EQ(state_in_use(state_), (std::vector<std::string>{"jobs.db", "auth.db", "plugins"}));
    ASSERT_EQ(refusal(), "staged");
    const std::string before = finish().before;
    EXPECT_TRUE(before.starts_with(state_ + "/before-restore-")) << before;
    for (const char* name : {"jobs.db", "jobs.db-wal", "auth.db", "auth.db-shm"})
        EXPECT_EQ(testing::read_text(before + "/" + name), std::string("old ") + name);
    EXPECT_EQ(testing::read_text(before + "/plugins/crashes"), "record");
    EXPECT_FALSE(fs::exists(state_ + "/jobs.db-wal"));
    ASSERT_EQ(refusal(), "staged");
    EXPECT_EQ(finish().before, before + "-2");  // In the same second.
}

// After a crash between two renames.
TEST_F(RestoreStateTest, ACutRestoreIsFinished) {
    dir_.write("state/jobs.db", "old");
    dir_.write("state/catalog.db", "old");
    ASSERT_EQ(refusal(), "staged");
    fs::rename(state_ + "/jobs.db", state_ + "/restore/old/jobs.db");
    fs::rename(state_ + "/restore/new/jobs.db", state_ + "/jobs.db");
    fs::rename(state_ + "/catalog.db", state_ + "/restore/old/catalog.db");
    const std::string before = finish().before;
    EXPECT_EQ(testing::read_text(before + "/jobs.db"), "old");
    EXPECT_EQ(testing::read_text(before + "/catalog.db"), "old");
    EXPECT_EQ(restored("catalog.db"), testing::read_text(backup_ + "/catalog.db"));
    EXPECT_EQ(restored("jobs.db"), testing::read_text(backup_ + "/jobs.db"));
}

TEST_F(RestoreStateTest, CopiesThatWereNotCheckedCountForNothing) {
    dir_.write("state/jobs.db", "old");
    fs::create_directories(state_ + "/restore.part/new");
    EXPECT_FALSE(finish().was_staged);
    EXPECT_FALSE(fs::exists(state_ + "/restore.part"));
    EXPECT_EQ(restored("jobs.db"), "old");
}

TEST_F(RestoreStateTest, OnlyAPrivateBackupIsOpened) {
    for (const std::string& name :
         {std::string(""), std::string("/auth.db"), std::string("/manifest.json"),
          std::string("/plugins"), std::string("/plugins/artifacts"), "/" + plugin_}) {
        const std::string path = backup_ + name;
        const fs::perms before = fs::status(path).permissions();
        fs::permissions(path, before | fs::perms(0040));
        EXPECT_NE(refusal().find("run chmod go= "), std::string::npos) << path << refusal();
        fs::permissions(path, before);
    }
    ASSERT_EQ(refusal(), "staged");
}

TEST_F(RestoreStateTest, DamageIsFoundBeforeAnythingChanges) {
    std::string damaged = testing::read_text(backup_ + "/auth.db");
    damaged.back() = static_cast<char>(damaged.back() ^ 1);
    dir_.write("backup/auth.db", damaged);
    EXPECT_NE(refusal().find("expected SHA-256"), std::string::npos);
    dir_.write("backup/auth.db", damaged + "x");
    EXPECT_NE(refusal().find("bytes, found"), std::string::npos);
    fs::remove(backup_ + "/auth.db");
    EXPECT_NE(refusal().find("names it: use another backup"), std::string::npos);
    fs::remove(backup_ + "/manifest.json");
    EXPECT_NE(refusal().find("cut off"), std::string::npos);
    EXPECT_TRUE(fs::is_empty(state_));
}

TEST_F(RestoreStateTest, AFileThatTheManifestDoesNotNameIsRefused) {
    for (const char* extra : {"jobs.db-wal", "plugins/note", "plugins/artifacts/more.so"}) {
        dir_.write(std::string("backup/") + extra, "x");
        EXPECT_NE(refusal().find(std::string("found ") + extra), std::string::npos) << refusal();
        fs::remove(backup_ + "/" + extra);
    }
    fs::create_directory(backup_ + "/more");
    EXPECT_NE(refusal().find("found more"), std::string::npos) << refusal();
    fs::remove(backup_ + "/more");
    EXPECT_EQ(refusal(), "staged");
}

TEST_F(RestoreStateTest, ABackupOfAnotherRegistryIsRefused) {
    ASSERT_TRUE(jobs::open_sqlite_job_store(state_ + "/jobs.db", clock_));
    const std::string before = testing::read_text(state_ + "/jobs.db");
    EXPECT_NE(refusal().find("another installation; use a backup of this one"), std::string::npos)
        << refusal();
    EXPECT_EQ(restored("jobs.db"), before);
    EXPECT_FALSE(fs::exists(state_ + "/restore.part"));
    for (const char* ending : {"", "-wal", "-shm"}) fs::remove(state_ + "/jobs.db" + ending);
    EXPECT_EQ(refusal(), "staged");
}

TEST_F(RestoreStateTest, ADatabaseThatIsNoneIsRefused) {
    dir_.write("backup/catalog.db", "no database, but with the right hash");
    list();
    EXPECT_NE(refusal().find("catalog.db"), std::string::npos);
    EXPECT_TRUE(fs::is_empty(state_));
}

TEST_F(RestoreStateTest, WhatDoesNotFitChangesNothing) {
    dir_.write("state/jobs.db", "old");
    const auto backup = OpenBackup::open(backup_, ::geteuid());
    ASSERT_TRUE(backup);
    {
        const testing::ResourceLimit bound(RLIMIT_FSIZE, 4'096);
        EXPECT_FALSE(stage_restore(*backup, state_));
    }
    EXPECT_EQ(restored("jobs.db"), "old");
    EXPECT_FALSE(fs::exists(state_ + "/restore.part"));
}

// The daemon copied it as it was.
TEST_F(RestoreStateTest, DamagedPagesAreFoundBeforeAnythingChanges) {
    std::string damaged = testing::read_text(backup_ + "/auth.db");
    ASSERT_GT(damaged.size(), 2U * 4096);
    std::fill(damaged.begin() + 4096, damaged.begin() + 2 * 4096, '\xff');
    dir_.write("backup/auth.db", damaged);
    list();
    EXPECT_NE(refusal().find("auth.db: expected a whole database"), std::string::npos) << refusal();
    EXPECT_TRUE(fs::is_empty(state_));
}

TEST_F(RestoreStateTest, OneThatFailsHalfWaySaysHowItGoesOnAndBack) {
    dir_.write("state/jobs.db", "old");
    ASSERT_EQ(refusal(), "staged");
    fs::remove(state_ + "/restore/old");
    dir_.write("state/restore/old", "no directory");
    const auto failed = finish_restore(state_, clock_);
    ASSERT_FALSE(failed);
    for (const char* told : {"the next start of the daemon, or exportctl restore, finishes it",
                             "before-restore-TIME", "to go back"})
        EXPECT_NE(failed.error().message.find(told), std::string::npos) << failed.error().message;
    fs::remove(state_ + "/restore/old");
    fs::create_directory(state_ + "/restore/old");
    EXPECT_TRUE(finish().was_staged);
}

}  // namespace
}  // namespace export_worker::app
