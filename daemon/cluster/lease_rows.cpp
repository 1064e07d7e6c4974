#include "daemon/cluster/lease_rows.hpp"

#include <algorithm>

#include "daemon/cluster/limits.hpp"

namespace export_worker::cluster {
namespace {

using std::chrono::microseconds;

using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

std::int64_t leader_us(microseconds lease_length) {
    return leader_length(lease_length).count();
}

// The row that is renewed is locked first, so that an eviction on its way is seen. Who leads is not
// locked by those who do not lead. `timeline`: an SQL text.
#define EW_RENEWAL(timeline)                                                                     \
    "WITH old AS (SELECT lease_until FROM instance WHERE instance_id = $1 AND lease_until > "    \
    "'-infinity' FOR NO KEY UPDATE), lead AS (UPDATE leader SET until = database_now() + $6 * "  \
    "interval '1 us' FROM old WHERE name = 'housekeeping' AND instance_id = $1 RETURNING term) " \
    "UPDATE instance SET lease_until = database_now() + $2 * interval '1 us', answers_until = "  \
    "database_now() + $2 * interval '1 us', seen_auth = CASE WHEN $7 IN ('', " timeline          \
    ") THEN $3 ELSE 0 END, seen_file = CASE WHEN $7 IN ('', " timeline                           \
    ") THEN $4 ELSE 0 END, clock_offset_us = coalesce($5, clock_offset_us) FROM old WHERE "      \
    "instance_id = $1 RETURNING database_now(), (extract(epoch FROM old.lease_until - "          \
    "database_now()) * 1000000)::bigint, coalesce((SELECT version FROM change WHERE kind = "     \
    "'auth'), 0), coalesce((SELECT version FROM change WHERE kind = 'file'), 0), (SELECT term "  \
    "FROM lead), NOT EXISTS (SELECT 1 FROM leader WHERE name = 'housekeeping' AND until > "      \
    "database_now()), " timeline

constexpr const char* kRenewal = EW_RENEWAL("''::text");
constexpr const char* kRenewalWithTimeline =
    EW_RENEWAL("left(pg_walfile_name(pg_current_wal_lsn()), 8)");

Renewal read_renewal(const Row& row) {
    return {.database_us = row.unix_us(0),
            .lease_left_us = row.integer(1),
            .versions = {row.integer(2), row.integer(3)},
            .term = row.optional_integer(4),
            .is_leader_free = row.boolean(5),
            .timeline = row.string(6)};
}

}  // namespace

microseconds leader_length(microseconds lease_length) {
    return std::min<microseconds>(limits::kLeaderLength, lease_length);
}

Result<void> enter_life(Connection& connection, const NewLife& life, microseconds lease_length) {
    if (!life.before.empty()) {
        // The new row says what this process has seen; the old one would be waited for.
        EW_CHECK(connection.change(
            "UPDATE instance SET answers_until = '-infinity' WHERE instance_id = $1", life.before));
        EW_CHECK(connection.change("UPDATE leader SET until = '-infinity' WHERE instance_id = $1",
                                   life.before));
    }
    return connection.change(
        "INSERT INTO instance (instance_id, name, version, started_at, lease_until, answers_until, "
        "seen_auth, seen_file, file_hashes) SELECT $1, $2, $3, $4, until, until, $6, $7, $8 FROM "
        "(SELECT database_now() + $5 * interval '1 us' AS until) AS lease",
        life.id, life.name, life.version, UnixTime{life.started_us}, lease_length.count(),
        life.seen[0], life.seen[1], life.file_hashes);
}

Result<std::optional<Renewal>> renew_lease(Connection& connection, const LeaseState& state,
                                           microseconds lease_length) {
    EW_TRY(const Rows renewed,
           connection.query(state.reads_timeline ? kRenewalWithTimeline : kRenewal, state.id,
                            lease_length.count(), state.seen[0], state.seen[1],
                            state.clock_offset_us, leader_us(lease_length), state.timeline));
    if (renewed.empty()) return std::optional<Renewal>();
    return std::optional(read_renewal(renewed.front()));
}

Result<std::optional<std::int64_t>> take_lead(Connection& connection, const std::string& id,
                                              microseconds lease_length) {
    EW_TRY(const Rows taken,
           connection.query("WITH free AS (SELECT 1 FROM leader WHERE name = 'housekeeping' AND "
                            "until <= database_now() FOR UPDATE SKIP LOCKED) UPDATE leader SET "
                            "instance_id = $1, until = database_now() + $2 * interval '1 us', term "
                            "= term + 1 FROM free WHERE name = 'housekeeping' RETURNING term",
                            id, leader_us(lease_length)));
    return taken.empty() ? std::nullopt : std::optional(taken.front().integer(0));
}

Result<void> end_life(Connection& connection, const std::string& id) {
    EW_CHECK(connection.change(
        "UPDATE instance SET lease_until = '-infinity', answers_until = '-infinity' WHERE "
        "instance_id = $1",
        id));
    return connection.change("UPDATE leader SET until = '-infinity' WHERE instance_id = $1", id);
}

Result<bool> may_read_timeline(Connection& connection) {
    EW_TRY(const Rows rows,
           connection.query("SELECT has_function_privilege('pg_walfile_name(pg_lsn)', 'execute') "
                            "AND has_function_privilege('pg_current_wal_lsn()', 'execute')"));
    return rows.front().boolean(0);
}

Result<Unaware> count_unaware(Connection& connection, ChangeKind kind, std::int64_t version,
                              const std::string& own_id) {
#define EW_UNAWARE(seen)                                                                    \
    "SELECT count(*), coalesce((extract(epoch FROM max(answers_until) - database_now()) * " \
    "1000000)::bigint, 0) FROM instance WHERE instance_id <> $1 AND answers_until > "       \
    "database_now() AND " seen " < $2"
    EW_TRY(const Rows rows, connection.query(kind == ChangeKind::kAuth ? EW_UNAWARE("seen_auth")
                                                                       : EW_UNAWARE("seen_file"),
                                             own_id, version));
    return Unaware{rows.front().integer(0), microseconds(rows.front().integer(1))};
}

}  // namespace export_worker::cluster
