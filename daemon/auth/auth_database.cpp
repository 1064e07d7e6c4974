#include "daemon/auth/auth_database.hpp"

#include <fcntl.h>

#include <array>
#include <cerrno>

#include "base/log.hpp"
#include "base/unique_fd.hpp"
#include "daemon/sqlite/limits.hpp"

namespace export_worker::auth {
namespace {

constexpr std::int64_t kApplicationId = 0x45574b31;  // "EWK1"

// One entry a schema version; released entries never change.
constexpr std::array<const char*, 3> kMigrations{R"sql(
CREATE TABLE api_key (
    id              TEXT PRIMARY KEY,
    sha256          TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    name            TEXT NOT NULL,
    permissions     TEXT NOT NULL,
    created_us      INTEGER NOT NULL,
    revoked_us      INTEGER
) STRICT;
)sql",
                                                 R"sql(
CREATE TABLE member (
    subject         TEXT NOT NULL,
    organization_id TEXT NOT NULL,
    roles           TEXT NOT NULL,
    active          INTEGER NOT NULL,
    changed_us      INTEGER NOT NULL,
    PRIMARY KEY (subject, organization_id)
) STRICT, WITHOUT ROWID;
CREATE TABLE session (
    sha256     TEXT PRIMARY KEY,
    id         TEXT NOT NULL UNIQUE,
    subject    TEXT NOT NULL,
    created_us INTEGER NOT NULL,
    expires_us INTEGER NOT NULL,
    revoked_us INTEGER
) STRICT, WITHOUT ROWID;
)sql",
                                                 R"sql(
ALTER TABLE api_key ADD COLUMN expires_us INTEGER;
ALTER TABLE api_key ADD COLUMN last_used_us INTEGER;
CREATE INDEX api_key_by_age ON api_key (created_us, id);
)sql"};

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

}  // namespace

Result<std::unique_ptr<sqlite::Database>> open_auth_database(const std::string& path,
                                                             sqlite::Durability durability) {
    EW_TRY(auto database, sqlite::Database::open({.path = path,
                                                  .application_id = kApplicationId,
                                                  .migrations = kMigrations,
                                                  .durability = durability}));
    reserve_disk(path + "-wal");
    return database;
}

Result<void> check_auth_database(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kApplicationId, .migrations = kMigrations});
}

}  // namespace export_worker::auth
