#include "daemon/auth/sqlite/sqlite_auth_store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "daemon/sqlite/limits.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

constexpr std::int64_t kNow = 1'700'000'000'000'000;

std::unique_ptr<AuthStore> open(const std::string& path) {
    auto store = open_sqlite_auth_store(path, sqlite::Durability::kUnsyncedForTest);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

TEST(SqliteAuthStore, ItsLogHasRoomOnDiskBeforeItNeedsIt) {
    const testing::TempDir dir;
    const auto store = open_sqlite_auth_store(dir / "auth.db");
    ASSERT_TRUE(store) << store.error().message;
    struct stat info {};
    ASSERT_EQ(::stat((dir / "auth.db-wal").c_str(), &info), 0);
    EXPECT_GE(info.st_blocks * 512, limits::kDatabaseLogBytesReserved);
    EXPECT_LT(info.st_size, limits::kDatabaseLogBytesReserved);
}

TEST(SqliteAuthStore, ABackupIsAWholeStore) {
    const testing::TempDir dir;
    const auto store = open(dir / "auth.db");
    ASSERT_TRUE(store->members().put({"ann", "acme", {}, true}, kNow));
    ASSERT_TRUE(store->backup(dir / "copy.db"));
    ASSERT_TRUE(store->members().put({"bob", "acme", {}, true}, kNow));
    EXPECT_EQ(open(dir / "copy.db")->members().all()->size(), 1U);
}

TEST(SqliteAuthStore, CompactingKeepsEverything) {
    const testing::TempDir dir;
    const auto store = open(dir / "auth.db");
    ASSERT_TRUE(store->members().put({"ann", "acme", {}, true}, kNow));
    ASSERT_TRUE(store->compact(std::chrono::seconds(10), [] { return true; }));
    EXPECT_EQ(store->members().all()->size(), 1U);
}

TEST(SqliteAuthStore, AnotherDatabaseIsRefused) {
    const testing::TempDir dir;
    testing::execute_in(dir / "auth.db", "PRAGMA application_id = 1; CREATE TABLE x (y)");
    const auto checked = check_sqlite_auth_store(dir / "auth.db");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kDataLoss);
    EXPECT_FALSE(open_sqlite_auth_store(dir / "auth.db"));
    EXPECT_TRUE(check_sqlite_auth_store(dir / "none.db"));
}

TEST(SqliteAuthStore, AnUnreadableDigestIsDamage) {
    const testing::TempDir dir;
    const auto store = open(dir / "auth.db");
    testing::execute_in(
        dir / "auth.db",
        "INSERT INTO api_key (id, sha256, organization_id, name, permissions, created_us) VALUES "
        "('k', 'zz', 'acme', '', 'job:read', 0);"
        "INSERT INTO session VALUES ('zz', 's', 'ann', 0, " +
            std::to_string(kNow) + ", NULL)");
    const auto is_damage = [](const auto& read) {
        return !read && read.error().code == ErrorCode::kDataLoss &&
               read.error().message.find("an unreadable digest") != std::string::npos;
    };
    EXPECT_TRUE(is_damage(store->keys().active(0)));
    EXPECT_TRUE(is_damage(store->sessions().active(0)));
    EXPECT_TRUE(is_damage(store->sessions().list(0, {}, 10)));
}

}  // namespace
}  // namespace export_worker::auth
