#include "daemon/auth/sqlite/sqlite_key_records.hpp"

#include <utility>

#include "daemon/auth/digests.hpp"
#include "daemon/auth/role_policy.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::auth {
namespace {

using sqlite::Connection;
using sqlite::Statement;

// What read_key() reads.
#define EW_KEY_COLUMNS \
    "id, organization_id, name, permissions, created_us, revoked_us, expires_us, last_used_us"

ApiKey read_key(const Statement& row) {
    return {
        row.string(0),  row.string(1),           row.string(2),           split_words(row.text(3)),
        row.integer(4), row.optional_integer(5), row.optional_integer(6), row.optional_integer(7)};
}

Result<std::optional<ApiKey>> find_key(Connection& connection, std::string_view id) {
    Statement row = connection.statement("SELECT " EW_KEY_COLUMNS " FROM api_key WHERE id = ?1");
    EW_TRY(const bool found, row.bind(id).step());
    return found ? std::optional(read_key(row)) : std::nullopt;
}

Result<void> insert_key(Connection& connection, const StoredKey& stored) {
    const ApiKey& key = stored.key;
    return connection
        .statement(
            "INSERT INTO api_key (id, sha256, organization_id, name, permissions, created_us, "
            "expires_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .bind(key.id, digest_to_hex(stored.sha256), key.organization_id, key.name,
              join_words(key.permissions), key.created_us, key.expires_us)
        .run();
}

}  // namespace

Result<std::vector<StoredKey>> SqliteKeyRecords::active(std::int64_t now_us) {
    return database_.read([&](Connection& connection) -> Result<std::vector<StoredKey>> {
        Statement rows = connection.statement(
            "SELECT " EW_KEY_COLUMNS
            ", sha256 FROM api_key WHERE revoked_us IS NULL AND coalesce(expires_us > ?1, true)");
        rows.bind(now_us);
        std::vector<StoredKey> out;
        EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) -> Result<void> {
            EW_TRY(std::string digest, digest_from_hex(row.text(8), "api_key"));
            out.push_back({read_key(row), std::move(digest)});
            return {};
        }));
        return out;
    });
}

Result<void> SqliteKeyRecords::insert(const StoredKey& key) {
    return database_.write([&](Connection& connection) { return insert_key(connection, key); });
}

Result<void> SqliteKeyRecords::insert_successor(const StoredKey& key, std::string_view old_id,
                                                std::int64_t old_expires_us) {
    return database_.write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection.statement("UPDATE api_key SET expires_us = ?2 WHERE id = ?1")
                     .bind(old_id, old_expires_us)
                     .run());
        return insert_key(connection, key);
    });
}

Result<std::optional<ApiKey>> SqliteKeyRecords::find(std::string_view id) {
    return database_.read([&](Connection& connection) { return find_key(connection, id); });
}

Result<std::optional<ApiKey>> SqliteKeyRecords::revoke(std::string_view id, std::int64_t now_us,
                                                       std::int64_t used_us) {
    return database_.write([&](Connection& connection) -> Result<std::optional<ApiKey>> {
        EW_CHECK(connection
                     .statement("UPDATE api_key SET revoked_us = coalesce(revoked_us, ?2), "
                                "last_used_us = nullif(max(coalesce(last_used_us, 0), ?3), 0) "
                                "WHERE id = ?1")
                     .bind(id, now_us, used_us)
                     .run());
        return find_key(connection, id);
    });
}

Result<std::vector<ApiKey>> SqliteKeyRecords::list(std::string_view organization_id,
                                                   const AgeCursor& after, std::size_t rows_max) {
    return database_.read([&](Connection& connection) {
        Statement rows =
            connection.statement("SELECT " EW_KEY_COLUMNS
                                 " FROM api_key WHERE (created_us, id) > (?2, ?3) AND (?1 = '' OR "
                                 "organization_id = ?1) ORDER BY created_us, id LIMIT ?4");
        rows.bind(organization_id, after.created_us, after.id, static_cast<std::int64_t>(rows_max));
        return sqlite::read_all(rows, read_key);
    });
}

void SqliteKeyRecords::begin_record_uses(std::vector<KeyUse> uses) {
    (void)database_.begin_write([uses = std::move(uses)](Connection& connection) -> Result<void> {
        for (const KeyUse& use : uses) {
            EW_CHECK(connection
                         .statement("UPDATE api_key SET last_used_us = "
                                    "max(coalesce(last_used_us, 0), ?2) WHERE id = ?1")
                         .bind(use.id, use.used_us)
                         .run());
        }
        return {};
    });
}

}  // namespace export_worker::auth
