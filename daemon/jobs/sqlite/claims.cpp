#include "daemon/jobs/sqlite/claims.hpp"

#include <algorithm>
#include <array>
#include <cstdint>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/deadlines.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr std::int64_t kTurn = 1'000'000;

struct Turn {
    std::string organization_id;
    std::int64_t starts = 0;  // Virtual time.
    int weight = 1;
};

// One whose exports fill its quota of stored bytes waits until some expire.
// In the order of their turns, so that the first that may have a job due ends the search. Behind
// the queue as a whole all are even; then who had less before goes first, as the index has it.
Result<std::optional<Turn>> next_organization(Connection& connection, const JobPolicy& policy,
                                              std::string_view held_json, const Now& now) {
    Statement row = connection.statement(
        "SELECT organization_id, "
        "max(virtual_time, (SELECT value FROM setting WHERE name = 'virtual_time')), weight "
        "FROM organization WHERE pending > 0 AND held = 0 "
        "AND organization_id NOT IN (SELECT value FROM json_each(?3)) "
        "AND running < coalesce(running_max, ?1) "
        "AND (stored_bytes_max IS NULL OR stored_bytes < stored_bytes_max) "
        "AND next_due_us <= ?2 "
        "ORDER BY virtual_time, organization_id LIMIT 1");
    EW_TRY(const bool found, row.bind(policy.organization_running_max, now.us, held_json).step());
    if (!found) return std::optional<Turn>();
    return std::optional(Turn{row.string(0), row.integer(1), static_cast<int>(row.integer(2))});
}

struct Candidate {
    std::string job_id;                    // Empty: none is due.
    std::int64_t next_due_us = INT64_MAX;  // When none is due: the first that will be.
};

// The job of the highest priority that is due longest; a priority is worth kPriorityAge of waiting.
// Looks at one job of each priority, however many wait.
Result<Candidate> first_due(Connection& connection, const Turn& turn, const Now& now) {
    constexpr std::array kHighestFirst{model::JobPriority::kHigh, model::JobPriority::kNormal,
                                       model::JobPriority::kLow};
    Candidate out;
    std::int64_t first_us = INT64_MAX;  // When the candidate was due, older by its priority.
    for (const model::JobPriority priority : kHighestFirst) {
        Statement row = connection.statement(
            "SELECT job_id, due_us FROM job WHERE status = 'pending' AND runner = 'daemon' AND "
            "held = 0 AND organization_id = ?1 AND priority = ?2 ORDER BY due_us, job_id LIMIT 1");
        row.bind(turn.organization_id, static_cast<int>(priority));
        EW_TRY(const bool found, row.step());
        if (!found) continue;
        const std::int64_t due_us = row.integer(1);
        out.next_due_us = std::min(out.next_due_us, due_us);
        const std::int64_t aged_us =
            due_us - static_cast<std::int64_t>(priority) * us_of(limits::kPriorityAge);
        if (due_us > now.us || aged_us >= first_us) continue;
        first_us = aged_us;
        out.job_id = row.string(0);
    }
    return out;
}

Result<void> set_next_due(Connection& connection, const Turn& turn, std::int64_t next_due_us) {
    return connection
        .statement("UPDATE organization SET next_due_us = ?2 WHERE organization_id = ?1")
        .bind(turn.organization_id, next_due_us)
        .run();
}

Result<void> take_turn(Connection& connection, const Turn& turn) {
    EW_CHECK(
        connection.statement("UPDATE organization SET virtual_time = ?2 WHERE organization_id = ?1")
            .bind(turn.organization_id, turn.starts + kTurn / turn.weight)
            .run());
    return connection.statement("UPDATE setting SET value = ?1 WHERE name = 'virtual_time'")
        .bind(turn.starts)
        .run();
}

// What read_claimed() reads.
#define EW_CLAIM_COLUMNS \
    "job_id, epoch, claim_token, organization_id, spec, attempt, created_us, trace_id"

// Of a statement that finds at most one row; it is used up afterwards.
Result<std::optional<ClaimedJob>> read_claimed(Statement& row) {
    EW_TRY(const bool found, row.step());
    if (!found) return std::optional<ClaimedJob>();
    ClaimedJob job{{row.string(0), row.integer(1), row.string(2)},
                   row.string(3),
                   row.string(4),
                   static_cast<int>(row.integer(5)),
                   row.integer(6),
                   row.string(7)};
    EW_TRY(const bool more, row.step());
    (void)more;
    return std::optional(std::move(job));
}

Result<ClaimedJob> start_job(Connection& connection, const std::string& job_id,
                             const Claimer& claimer, const Now& now) {
    Statement row = connection.statement(
        "UPDATE job SET status = 'in_progress', epoch = epoch + 1, attempt = attempt + 1, "
        "owner = ?2, claim_token = ?4, started_us = coalesce(started_us, ?3), stage = 'preparing', "
        "processed_items = 0 WHERE job_id = ?1 RETURNING " EW_CLAIM_COLUMNS);
    row.bind(job_id, claimer.instance_id, now.wall_us, claimer.claim_token);
    EW_TRY(std::optional<ClaimedJob> job, read_claimed(row));
    if (!job) return fail(ErrorCode::kInternal, "claim: the job was there a moment ago");
    const std::string epoch = "epoch " + std::to_string(job->lease.epoch);
    EW_CHECK(
        append_event(connection, job->lease.job_id, {"claimed", claimer.instance_id, epoch}, now));
    return std::move(*job);
}

}  // namespace

Result<Claim> claim_next(Connection& connection, const JobPolicy& policy,
                         std::string_view held_json, const Claimer& claimer, const Now& now) {
    // First, so that no search has to pass by jobs that may not start any more.
    EW_TRY(const std::size_t late, fail_late(connection, claimer.instance_id, now));
    if (late == limits::kHousekeepingBatch) return Claim{.job = {}, .failed = late, .again = true};
    for (std::size_t looked = 0; looked < limits::kHousekeepingBatch; ++looked) {
        EW_TRY(const std::optional<Turn> turn,
               next_organization(connection, policy, held_json, now));
        if (!turn) return Claim{.job = {}, .failed = late};
        EW_TRY(const Candidate candidate, first_due(connection, *turn, now));
        if (!candidate.job_id.empty()) {
            EW_CHECK(take_turn(connection, *turn));
            EW_TRY(ClaimedJob job, start_job(connection, candidate.job_id, claimer, now));
            return Claim{.job = std::move(job), .failed = late};
        }
        EW_CHECK(set_next_due(connection, *turn, candidate.next_due_us));
    }
    return Claim{.job = {}, .failed = late, .again = true};
}

Result<std::optional<ClaimedJob>> find_claimed(Connection& connection, const Claimer& claimer) {
    Statement row = connection.statement(
        "SELECT " EW_CLAIM_COLUMNS
        " FROM job WHERE status = 'in_progress' AND runner = 'daemon' AND owner = ?1 AND "
        "claim_token = ?2");
    row.bind(claimer.instance_id, claimer.claim_token);
    return read_claimed(row);
}

}  // namespace export_worker::jobs
