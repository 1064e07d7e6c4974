#include "daemon/auth/sqlite/sqlite_auth_store.hpp"

#include <fcntl.h>

#include <cerrno>
#include <utility>

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "daemon/auth/sqlite/auth_schema.hpp"
#include "daemon/auth/sqlite/sqlite_key_records.hpp"
#include "daemon/auth/sqlite/sqlite_member_records.hpp"
#include "daemon/auth/sqlite/sqlite_session_records.hpp"
#include "daemon/sqlite/database.hpp"
#include "daemon/sqlite/limits.hpp"

namespace export_worker::auth {
namespace {

// The blocks are there and the length stays: SQLite sees an empty log, and writes into them when
// the disk is full.
void reserve_disk(const std::string& log) {
    const UniqueFd fd(::open(log.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW));
    if (fd && ::fallocate(fd.get(), FALLOC_FL_KEEP_SIZE, 0, limits::kDatabaseLogBytesReserved) == 0)
        return;
    if (errno != EOPNOTSUPP)
        log_warn("{}; on a full disk, keys could then be revoked only until a restart",
                 errno_error("reserve disk for " + log, errno).message);
}

class SqliteAuthStore final : public AuthStore {
public:
    explicit SqliteAuthStore(std::unique_ptr<sqlite::Database> database)
        : database_(std::move(database)) {}

    KeyRecords& keys() override { return keys_; }
    MemberRecords& members() override { return members_; }
    SessionRecords& sessions() override { return sessions_; }

    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return database_->backup(path, keep_going);
    }
    Result<void> compact(std::chrono::milliseconds pause_max,
                         const std::function<bool()>& keep_going) override {
        return database_->compact(pause_max, keep_going);
    }
    Problem problem() const override { return database_->problem(); }
    std::uint64_t write_errors() const override { return database_->write_errors(); }

private:
    const std::unique_ptr<sqlite::Database> database_;
    SqliteKeyRecords keys_{*database_};
    SqliteMemberRecords members_{*database_};
    SqliteSessionRecords sessions_{*database_};
};

}  // namespace

Result<std::unique_ptr<AuthStore>> open_sqlite_auth_store(const std::string& path,
                                                          sqlite::Durability durability) {
    EW_TRY(auto database, sqlite::Database::open({.path = path,
                                                  .application_id = kAuthApplicationId,
                                                  .migrations = kAuthMigrations,
                                                  .durability = durability}));
    reserve_disk(path + "-wal");
    return std::make_unique<SqliteAuthStore>(std::move(database));
}

Result<void> check_sqlite_auth_store(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kAuthApplicationId, .migrations = kAuthMigrations});
}

}  // namespace export_worker::auth
