#include "daemon/auth/postgres/postgres_key_records.hpp"

#include <utility>

#include "daemon/auth/digests.hpp"
#include "daemon/auth/role_policy.hpp"

namespace export_worker::auth::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

// What read_key() reads.
#define EW_PG_KEY_COLUMNS \
    "id, organization_id, name, permissions, created_us, revoked_us, expires_us, last_used_us"

ApiKey read_key(const Row& row) {
    return {
        row.string(0),  row.string(1),           row.string(2),           split_words(row.text(3)),
        row.integer(4), row.optional_integer(5), row.optional_integer(6), row.optional_integer(7)};
}

// EW_PG_KEY_COLUMNS, sha256
Result<std::vector<StoredKey>> read_stored(const Rows& rows) {
    std::vector<StoredKey> out;
    out.reserve(static_cast<std::size_t>(rows.size()));
    for (const Row row : rows) {
        EW_TRY(std::string digest, digest_from_hex(row.text(8), "api_key"));
        out.push_back({read_key(row), std::move(digest)});
    }
    return out;
}

Result<std::optional<ApiKey>> first_key(const Result<Rows>& rows) {
    if (!rows) return fail(rows.error());
    return rows->empty() ? std::nullopt : std::optional(read_key(rows->front()));
}

Result<void> insert_key(Connection& connection, const StoredKey& stored, std::int64_t version) {
    const ApiKey& key = stored.key;
    return connection.change(
        "INSERT INTO api_key (id, sha256, organization_id, name, permissions, created_us, "
        "expires_us, changed_version) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        key.id, digest_to_hex(stored.sha256), key.organization_id, key.name,
        join_words(key.permissions), key.created_us, key.expires_us, version);
}

// An earlier run of the same write has been committed after all.
Result<bool> has_key(Connection& connection, const StoredKey& stored) {
    EW_TRY(const Rows rows, connection.query("SELECT 1 FROM api_key WHERE id = $1 AND sha256 = $2",
                                             stored.key.id, digest_to_hex(stored.sha256)));
    return !rows.empty();
}

}  // namespace

Result<std::vector<StoredKey>> PostgresKeyRecords::active(std::int64_t now_us) {
    return database_.read([&](Connection& connection) -> Result<std::vector<StoredKey>> {
        EW_TRY(const Rows rows, connection.query("SELECT " EW_PG_KEY_COLUMNS
                                                 ", sha256 FROM api_key WHERE revoked_us IS NULL "
                                                 "AND coalesce(expires_us > $1, true)",
                                                 now_us));
        return read_stored(rows);
    });
}

Result<std::vector<StoredKey>> changed_keys(Connection& connection, std::int64_t since,
                                            bool is_whole) {
    EW_TRY(const Rows rows,
           is_whole ? connection.query("SELECT " EW_PG_KEY_COLUMNS
                                       ", sha256 FROM api_key WHERE revoked_us IS NULL")
                    : connection.query("SELECT " EW_PG_KEY_COLUMNS
                                       ", sha256 FROM api_key WHERE changed_version > $1",
                                       since));
    return read_stored(rows);
}

Result<void> PostgresKeyRecords::insert(const StoredKey& key) {
    return database_.write(Reach::kThisDaemon,
                           [&](Connection& connection, const Write& write) -> Result<void> {
                               if (write.again) {
                                   EW_TRY(const bool done, has_key(connection, key));
                                   if (done) return {};
                               }
                               return insert_key(connection, key, write.version);
                           });
}

Result<void> PostgresKeyRecords::insert_successor(const StoredKey& key, std::string_view old_id,
                                                  std::int64_t old_expires_us) {
    return database_.write(
        Reach::kEveryDaemon, [&](Connection& connection, const Write& write) -> Result<void> {
            if (write.again) {
                EW_TRY(const bool done, has_key(connection, key));
                if (done) return {};
            }
            EW_CHECK(connection.change(
                "UPDATE api_key SET expires_us = $2, changed_version = $3 WHERE id = $1", old_id,
                old_expires_us, write.version));
            return insert_key(connection, key, write.version);
        });
}

Result<std::optional<ApiKey>> PostgresKeyRecords::find(std::string_view id) {
    return database_.read([&](Connection& connection) {
        return first_key(
            connection.query("SELECT " EW_PG_KEY_COLUMNS " FROM api_key WHERE id = $1", id));
    });
}

Result<std::optional<ApiKey>> PostgresKeyRecords::revoke(std::string_view id, std::int64_t now_us,
                                                         std::int64_t used_us) {
    return database_.write(Reach::kEveryDaemon, [&](Connection& connection, const Write& write) {
        return first_key(
            connection.query("UPDATE api_key SET revoked_us = coalesce(revoked_us, $2), "
                             "last_used_us = nullif(greatest(last_used_us, $3), 0), "
                             "changed_version = $4 WHERE id = $1 RETURNING " EW_PG_KEY_COLUMNS,
                             id, now_us, used_us, write.version));
    });
}

Result<std::vector<ApiKey>> PostgresKeyRecords::list(std::string_view organization_id,
                                                     const AgeCursor& after, std::size_t rows_max) {
    return database_.read([&](Connection& connection) -> Result<std::vector<ApiKey>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT " EW_PG_KEY_COLUMNS
                                " FROM api_key WHERE (created_us, id) > ($2, $3) AND ($1 = '' OR "
                                "organization_id = $1) ORDER BY created_us, id LIMIT $4",
                                organization_id, after.created_us, after.id,
                                static_cast<std::int64_t>(rows_max)));
        return rows.each(read_key);
    });
}

void PostgresKeyRecords::begin_record_uses(std::vector<KeyUse> uses) {
    uses_.add(std::move(uses));
}

}  // namespace export_worker::auth::pg
