#include "daemon/auth/sqlite/sqlite_session_records.hpp"

#include <utility>

#include "daemon/auth/digests.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::auth {
namespace {

using sqlite::Connection;
using sqlite::Statement;

// What read_sessions() reads.
#define EW_SESSION_COLUMNS "id, subject, created_us, expires_us, sha256"

Result<std::string> digest_of(std::string_view hex) {
    return digest_from_hex(hex, "session");
}

Result<std::vector<StoredSession>> read_sessions(Statement& rows) {
    std::vector<StoredSession> out;
    EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) -> Result<void> {
        EW_TRY(std::string digest, digest_of(row.text(4)));
        out.push_back(
            {{row.string(0), row.string(1), row.integer(2), row.integer(3)}, std::move(digest)});
        return {};
    }));
    return out;
}

}  // namespace

Result<std::vector<StoredSession>> SqliteSessionRecords::active(std::int64_t now_us) {
    return database_.read([&](Connection& connection) {
        Statement rows =
            connection.statement("SELECT " EW_SESSION_COLUMNS
                                 " FROM session WHERE revoked_us IS NULL AND expires_us > ?1");
        return read_sessions(rows.bind(now_us));
    });
}

Result<void> SqliteSessionRecords::insert(const StoredSession& stored) {
    const OpaqueSession& session = stored.session;
    return database_.write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection.statement("DELETE FROM session WHERE expires_us <= ?1")
                     .bind(session.created_us)
                     .run());
        return connection
            .statement(
                "INSERT INTO session (sha256, id, subject, created_us, expires_us) VALUES "
                "(?1, ?2, ?3, ?4, ?5)")
            .bind(digest_to_hex(stored.sha256), session.id, session.subject, session.created_us,
                  session.expires_us)
            .run();
    });
}

Result<std::optional<std::string>> SqliteSessionRecords::revoke(std::string_view id,
                                                                std::int64_t now_us) {
    return database_.write([&](Connection& connection) -> Result<std::optional<std::string>> {
        EW_TRY(const auto digests,
               sqlite::select_texts(connection, "SELECT sha256 FROM session WHERE id = ?1", id));
        if (digests.empty()) return std::nullopt;
        EW_CHECK(connection
                     .statement("UPDATE session SET revoked_us = coalesce(revoked_us, ?2) WHERE "
                                "id = ?1")
                     .bind(id, now_us)
                     .run());
        return digest_of(digests.front());
    });
}

Result<std::vector<StoredSession>> SqliteSessionRecords::list(std::int64_t now_us,
                                                              const AgeCursor& after,
                                                              std::size_t rows_max) {
    return database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            "SELECT " EW_SESSION_COLUMNS
            " FROM session WHERE revoked_us IS NULL AND expires_us > ?1 AND (created_us, id) > "
            "(?2, ?3) ORDER BY created_us, id LIMIT ?4");
        return read_sessions(
            rows.bind(now_us, after.created_us, after.id, static_cast<std::int64_t>(rows_max)));
    });
}

}  // namespace export_worker::auth
