#include "daemon/auth/postgres/postgres_session_records.hpp"

#include <utility>

#include "daemon/auth/digests.hpp"

namespace export_worker::auth::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

// What read_sessions() reads.
#define EW_PG_SESSION_COLUMNS "id, subject, created_us, expires_us, sha256"

Result<std::string> digest_of(std::string_view hex) {
    return digest_from_hex(hex, "session");
}

Result<std::vector<StoredSession>> read_sessions(const Result<Rows>& rows) {
    if (!rows) return fail(rows.error());
    std::vector<StoredSession> out;
    for (const Row row : *rows) {
        EW_TRY(std::string digest, digest_of(row.text(4)));
        out.push_back(
            {{row.string(0), row.string(1), row.integer(2), row.integer(3)}, std::move(digest)});
    }
    return out;
}

Result<bool> has_session(Connection& connection, const StoredSession& stored) {
    EW_TRY(const Rows rows, connection.query("SELECT 1 FROM session WHERE sha256 = $1",
                                             digest_to_hex(stored.sha256)));
    return !rows.empty();
}

}  // namespace

Result<std::vector<StoredSession>> PostgresSessionRecords::active(std::int64_t now_us) {
    return database_.read([&](Connection& connection) {
        return read_sessions(
            connection.query("SELECT " EW_PG_SESSION_COLUMNS
                             " FROM session WHERE revoked_us IS NULL AND expires_us > $1",
                             now_us));
    });
}

Result<std::vector<SessionChange>> changed_sessions(Connection& connection, std::int64_t since,
                                                    bool is_whole) {
    EW_TRY(const Rows rows,
           is_whole ? connection.query("SELECT sha256, subject, expires_us, false FROM session "
                                       "WHERE revoked_us IS NULL")
                    : connection.query("SELECT sha256, subject, expires_us, revoked_us IS NOT NULL "
                                       "FROM session WHERE changed_version > $1",
                                       since));
    std::vector<SessionChange> out;
    for (const Row row : rows) {
        EW_TRY(std::string digest, digest_of(row.text(0)));
        out.push_back({std::move(digest), row.string(1), row.integer(2), row.boolean(3)});
    }
    return out;
}

Result<void> PostgresSessionRecords::insert(const StoredSession& stored) {
    const OpaqueSession& session = stored.session;
    return database_.write(
        Reach::kThisDaemon, [&](Connection& connection, const Write& write) -> Result<void> {
            if (write.again) {
                EW_TRY(const bool done, has_session(connection, stored));
                if (done) return {};
            }
            // No daemon accepts them any more, so their end is no change.
            EW_CHECK(connection.change("DELETE FROM session WHERE expires_us <= $1",
                                       session.created_us));
            return connection.change(
                "INSERT INTO session (sha256, id, subject, created_us, expires_us, "
                "changed_version) VALUES ($1, $2, $3, $4, $5, $6)",
                digest_to_hex(stored.sha256), session.id, session.subject, session.created_us,
                session.expires_us, write.version);
        });
}

Result<std::optional<std::string>> PostgresSessionRecords::revoke(std::string_view id,
                                                                  std::int64_t now_us) {
    return database_.write(
        Reach::kEveryDaemon,
        [&](Connection& connection, const Write& write) -> Result<std::optional<std::string>> {
            EW_TRY(const Rows rows,
                   connection.query("UPDATE session SET revoked_us = coalesce(revoked_us, $2), "
                                    "changed_version = $3 WHERE id = $1 RETURNING sha256",
                                    id, now_us, write.version));
            if (rows.empty()) return std::optional<std::string>();
            return digest_of(rows.front().text(0));
        });
}

Result<std::vector<StoredSession>> PostgresSessionRecords::list(std::int64_t now_us,
                                                                const AgeCursor& after,
                                                                std::size_t rows_max) {
    return database_.read([&](Connection& connection) {
        return read_sessions(connection.query(
            "SELECT " EW_PG_SESSION_COLUMNS
            " FROM session WHERE revoked_us IS NULL AND expires_us > $1 AND (created_us, id) > "
            "($2, $3) ORDER BY created_us, id LIMIT $4",
            now_us, after.created_us, after.id, static_cast<std::int64_t>(rows_max)));
    });
}

}  // namespace export_worker::auth::pg
