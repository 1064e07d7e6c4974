#include "daemon/control/backup_store.hpp"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/control/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::control {
namespace {

namespace fs = std::filesystem;

class BackupStoreTest : public ::testing::Test {
protected:
    Result<void> add(const std::string& id, const std::string& name, const std::string& text) {
        return store_.add(
            id, name,
            [&](const std::string& path) -> Result<void> {
                std::ofstream(path) << text;
                return {};
            },
            [] { return true; });
    }
    // One with a file of ten bytes that can be read.
    std::string complete() {
        std::string id = *store_.begin();
        EXPECT_TRUE(add(id, "jobs.db", "0123456789"));
        EXPECT_TRUE(store_.complete(id, "1.2.3"));
        return id;
    }
    [[nodiscard]] bool has_copies() const {
        return fs::exists(dir_ / "backup") && !fs::is_empty(dir_ / "backup");
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    BackupStore store_{dir_ / "backup", clock_};
};

TEST_F(BackupStoreTest, IsReadInPieces) {
    const std::string id = complete();
    const auto manifest = store_.manifest(id);
    ASSERT_TRUE(manifest);
    EXPECT_EQ(manifest->version, "1.2.3");
    ASSERT_EQ(manifest->files.size(), 1U);
    EXPECT_EQ(manifest->files[0],
              (BackupFile{"jobs.db", 10, to_hex(crypto::sha256("0123456789"))}));
    EXPECT_EQ(*store_.read(id, "jobs.db", 0, 4), "0123");
    EXPECT_EQ(*store_.read(id, "jobs.db", 8, 4), "89");
    EXPECT_EQ(*store_.read(id, "jobs.db", 10, 4), "");
}

TEST_F(BackupStoreTest, OnlyItsFilesCanBeRead) {
    const std::string id = complete();
    dir_.write("secret", "s");
    for (const char* name : {"", "auth.db", "../../secret", "/etc/passwd"})
        EXPECT_EQ(store_.read(id, name, 0, 4).error().code, ErrorCode::kNotFound) << name;
    for (const char* other : {"", "..", "no-such-id"})
        EXPECT_EQ(store_.read(other, "jobs.db", 0, 4).error().code, ErrorCode::kNotFound) << other;
}

TEST_F(BackupStoreTest, IsNotReadBeforeItIsComplete) {
    const std::string id = *store_.begin();
    ASSERT_TRUE(add(id, "jobs.db", "x"));
    EXPECT_EQ(store_.read(id, "jobs.db", 0, 4).error().code, ErrorCode::kNotFound);
}

TEST_F(BackupStoreTest, OneAtATime) {
    const std::string id = complete();
    clock_.advance(std::chrono::seconds(3));
    const auto refused = store_.begin();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
    EXPECT_NE(refused.error().message.find("since 3 s"), std::string::npos);
    store_.end("unknown");
    store_.end("../..");
    EXPECT_TRUE(store_.is_wanted(id));
    store_.end(id);
    EXPECT_FALSE(has_copies());
    EXPECT_TRUE(store_.begin());
}

TEST_F(BackupStoreTest, OneThatNobodyReadsEnds) {
    const std::string id = complete();
    clock_.advance(limits::kBackupIdleMax);
    store_.expire();
    EXPECT_TRUE(store_.read(id, "jobs.db", 0, 4));
    clock_.advance(limits::kBackupIdleMax);
    store_.expire();
    EXPECT_TRUE(has_copies());
    clock_.advance(std::chrono::seconds(1));
    store_.expire();
    EXPECT_FALSE(has_copies());
    EXPECT_FALSE(store_.read(id, "jobs.db", 0, 4));
}

TEST_F(BackupStoreTest, OneThatTakesTooLongEnds) {
    const std::string id = *store_.begin();
    clock_.advance(limits::kBackupTimeMax);
    EXPECT_FALSE(store_.is_wanted(id));
    store_.expire();
    EXPECT_FALSE(has_copies());
    EXPECT_EQ(store_.complete(id, "1").error().code, ErrorCode::kCancelled);
}

TEST_F(BackupStoreTest, ACopyThatFailsIsNoFile) {
    const std::string id = *store_.begin();
    const auto refused = store_.add(
        id, "jobs.db",
        [](const std::string&) -> Result<void> {
            return fail(ErrorCode::kResourceExhausted, "no room");
        },
        [] { return true; });
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    ASSERT_TRUE(store_.complete(id, "1"));
    EXPECT_TRUE(store_.manifest(id)->files.empty());
}

TEST_F(BackupStoreTest, CopiesOfACrashAreDeleted) {
    fs::create_directories(dir_ / "crashed/0198/plugins");
    dir_.write("crashed/0198/jobs.db", "x");
    const BackupStore store(dir_ / "crashed", clock_);
    EXPECT_FALSE(fs::exists(dir_ / "crashed"));
}

TEST_F(BackupStoreTest, EndsWithTheProcessThatFetchesIt) {
    const std::string id = complete();
    const pid_t client = ::fork();
    ASSERT_GE(client, 0);
    if (client == 0) {
        ::pause();
        ::_exit(0);
    }
    store_.set_client(client);
    store_.expire();
    EXPECT_TRUE(store_.is_wanted(id));
    EXPECT_FALSE(store_.begin());
    ASSERT_EQ(::kill(client, SIGKILL), 0);
    ASSERT_EQ(::waitpid(client, nullptr, 0), client);
    EXPECT_FALSE(store_.is_wanted(id));
    const auto next = store_.begin();
    ASSERT_TRUE(next) << next.error().message;
    EXPECT_FALSE(store_.manifest(id));
    store_.set_client(client);
    store_.expire();
    EXPECT_FALSE(store_.is_wanted(*next)) << "it had ended before it could be watched";
}

}  // namespace
}  // namespace export_worker::control
