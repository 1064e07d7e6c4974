#include "daemon/jobs/postgres/claims.hpp"

#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

// Whose turn it may be. $1: running_max of all, $2: now, $3: organizations that are held. One whose
// exports fill its quota of stored bytes waits until some expire.
#define EW_PG_MAY_START                                                        \
    "next_due <= $2 AND NOT held AND organization_id <> ALL ($3::text[]) AND " \
    "running < coalesce(running_max, $1) AND "                                 \
    "(stored_bytes_max IS NULL OR stored_bytes < stored_bytes_max)"

// What read_claimed() reads.
#define EW_PG_CLAIM_COLUMNS \
    "job.job_id, epoch, claim_token, organization_id, spec, attempt, created_at, trace_id"

// Rows that others have changed since the statement began are looked at as they are now: `turn` and
// `first` lock what they choose. $4: instance, $5: token, $6: kPriorityAge, $7: kTurn.
#define EW_PG_CLAIM(locked)                                                                      \
    "WITH turn AS ("                                                                             \
    "    SELECT organization_id, virtual_time, weight FROM organization WHERE " EW_PG_MAY_START  \
    "    ORDER BY virtual_time, organization_id LIMIT 1 FOR NO KEY UPDATE " locked               \
    "), due AS ("                                                                                \
    "    SELECT first.job_id FROM turn CROSS JOIN (VALUES (2), (1), (0)) AS level (priority)"    \
    "    CROSS JOIN LATERAL ("                                                                   \
    "        SELECT job_id, due_at FROM job WHERE job.organization_id = turn.organization_id"    \
    "            AND job.priority = level.priority AND status = 'pending' AND runner = 'daemon'" \
    "            AND NOT job.held AND due_at <= $2"                                              \
    "        ORDER BY due_at, job_id LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED"                      \
    "    ) AS first"                                                                             \
    "    ORDER BY first.due_at - level.priority * $6 * interval '1 us', level.priority DESC"     \
    "    LIMIT 1"                                                                                \
    "), claimed AS ("                                                                            \
    "    UPDATE job SET status = 'in_progress', epoch = epoch + 1, attempt = attempt + 1,"       \
    "        owner = $4, claim_token = $5, started_at = coalesce(started_at, $2),"               \
    "        stage = 'preparing', processed_items = 0"                                           \
    "    FROM due WHERE job.job_id = due.job_id RETURNING " EW_PG_CLAIM_COLUMNS                  \
    "), taken AS ("                                                                              \
    "    UPDATE organization SET running = running + 1, virtual_start = begin.at,"               \
    "        virtual_time = begin.at + $7 / organization.weight"                                 \
    "    FROM claimed, (SELECT greatest(turn.virtual_time,"                                      \
    "        (SELECT max(virtual_start) FROM organization)) AS at FROM turn) AS begin"           \
    "    WHERE organization.organization_id = claimed.organization_id"                           \
    "), told AS ("                                                                               \
    "    INSERT INTO job_event (job_id, number, at, kind, actor, detail)"                        \
    "    SELECT job_id, 1 + coalesce((SELECT max(number) FROM job_event"                         \
    "        WHERE job_event.job_id = claimed.job_id), 0), $2, 'claimed', $4, 'epoch ' || epoch" \
    "    FROM claimed"                                                                           \
    ") SELECT claimed.job_id, epoch, claim_token, claimed.organization_id, spec, attempt, "      \
    "created_at, trace_id, turn.organization_id FROM turn LEFT JOIN claimed ON true"

constexpr std::int64_t kTurn = 1'000'000;
constexpr int kTurnColumn = 8;

ClaimedJob read_claimed(const Row& row) {
    return {{row.string(0), row.integer(1), row.string(2)},
            row.string(3),
            row.string(4),
            static_cast<int>(row.integer(5)),
            row.unix_us(6),
            row.string(7)};
}

}  // namespace

Result<bool> has_turn(Connection& connection, const JobPolicy& policy,
                      const std::vector<std::string>& held, const Now& now) {
    EW_TRY(const Rows rows,
           connection.query("SELECT 1 FROM organization WHERE " EW_PG_MAY_START " LIMIT 1",
                            policy.organization_running_max, UnixTime{now.us}, held));
    return !rows.empty();
}

Result<Claim> claim_next(Connection& connection, const JobPolicy& policy,
                         const std::vector<std::string>& held, const Claimer& claimer,
                         Locked locked, const Now& now) {
    const char* sql = locked == Locked::kPass ? EW_PG_CLAIM("SKIP LOCKED") : EW_PG_CLAIM("");
    EW_TRY(const Rows rows, connection.query(sql, policy.organization_running_max, UnixTime{now.us},
                                             held, claimer.instance_id, claimer.claim_token,
                                             us_of(limits::kPriorityAge), kTurn));
    Claim out;
    if (rows.empty()) return out;
    if (rows.front().optional_string(0)) {
        out.job = read_claimed(rows.front());
    } else {
        out.without_work = rows.front().string(kTurnColumn);
    }
    return out;
}

Result<std::optional<ClaimedJob>> find_claimed(Connection& connection, const Claimer& claimer) {
    EW_TRY(const Rows rows,
           connection.query("SELECT " EW_PG_CLAIM_COLUMNS
                            " FROM job WHERE owner IS NOT NULL AND claim_token = $1",
                            claimer.claim_token));
    return rows.empty() ? std::nullopt : std::optional(read_claimed(rows.front()));
}

Result<bool> raise_next_due(Connection& connection, const std::string& organization_id,
                            const Now& now) {
    // A statement of its own: the next one sees what those had written who were waited for.
    EW_CHECK(connection.change("SELECT 1 FROM organization WHERE organization_id = $1 FOR UPDATE",
                               organization_id));
    EW_TRY(const Rows rows,
           connection.query(
               "UPDATE organization SET next_due = (SELECT min(due_at) FROM job WHERE "
               "job.organization_id = $1 AND status = 'pending' AND runner = 'daemon' AND NOT "
               "job.held) WHERE organization_id = $1 RETURNING coalesce(next_due <= $2, false)",
               organization_id, UnixTime{now.us}));
    return !rows.empty() && rows.front().boolean(0);
}

}  // namespace export_worker::jobs::pg
