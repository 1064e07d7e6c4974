#include "daemon/jobs/sqlite/claims.hpp"

#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr std::int64_t kTurn = 1'000'000;

// The job of one priority that is due longest: each is one step into the index.
#define EW_FIRST_OF(number)                                                                    \
    "SELECT * FROM (SELECT job_id, due_us, priority FROM job WHERE status = 'pending' AND "    \
    "runner = 'daemon' AND held = 0 AND organization_id = ?1 AND priority = " number           \
    " AND due_us <= ?2 AND (deadline_us IS NULL OR deadline_us > ?2) ORDER BY due_us, job_id " \
    "LIMIT 1)"

struct Turn {
    std::string organization_id;
    std::int64_t starts = 0;  // Virtual time.
    int weight = 1;
};

// One whose exports fill its quota of stored bytes waits until some expire.
// In the order of their turns, so that the first that may start a job ends the search. Behind the
// queue as a whole all are even; then who had less before goes first, as the index has it.
Result<std::optional<Turn>> next_organization(Connection& connection, const JobPolicy& policy,
                                              std::string_view held_json, const Now& now) {
    Statement row = connection.statement(
        "SELECT organization_id, "
        "max(virtual_time, (SELECT value FROM setting WHERE name = 'virtual_time')), weight "
        "FROM organization WHERE pending > 0 AND held = 0 "
        "AND organization_id NOT IN (SELECT value FROM json_each(?3)) "
        "AND running < coalesce(running_max, ?1) "
        "AND (stored_bytes_max IS NULL OR stored_bytes < stored_bytes_max) "
        "AND EXISTS (SELECT 1 FROM job WHERE status = 'pending' AND runner = 'daemon' AND held = 0 "
        "AND job.organization_id = organization.organization_id AND due_us <= ?2 AND "
        "(deadline_us IS NULL OR deadline_us > ?2)) "
        "ORDER BY virtual_time, organization_id LIMIT 1");
    EW_TRY(const bool found, row.bind(policy.organization_running_max, now.us, held_json).step());
    if (!found) return std::optional<Turn>();
    return std::optional(Turn{row.string(0), row.integer(1), static_cast<int>(row.integer(2))});
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

}  // namespace

void UnwrittenHolds::set(const std::string& organization_id, bool held) {
    const std::lock_guard lock(mutex_);
    if (held) {
        ids_.insert(organization_id);
    } else {
        ids_.erase(organization_id);
    }
}

bool UnwrittenHolds::contains(const std::string& organization_id) const {
    const std::lock_guard lock(mutex_);
    return ids_.contains(organization_id);
}

std::string UnwrittenHolds::json() const {
    const std::lock_guard lock(mutex_);
    std::string out = "[";
    for (const std::string& id : ids_) out += (out.size() > 1 ? ",\"" : "\"") + id + '"';
    return out + "]";
}

Result<std::optional<ClaimedJob>> claim_next(Connection& connection, const JobPolicy& policy,
                                             std::string_view held_json,
                                             std::string_view instance_id, const Now& now) {
    EW_TRY(const std::optional<Turn> turn, next_organization(connection, policy, held_json, now));
    if (!turn) return std::optional<ClaimedJob>();
    EW_CHECK(take_turn(connection, *turn));
    ClaimedJob job;
    {
        Statement row = connection.statement(
            "UPDATE job SET status = 'in_progress', epoch = epoch + 1, attempt = attempt + 1, "
            "owner = ?3, started_us = coalesce(started_us, ?4), stage = 'preparing', "
            "processed_items = 0 WHERE job_id = (SELECT job_id FROM (" EW_FIRST_OF("2")
            " UNION ALL " EW_FIRST_OF("1") " UNION ALL " EW_FIRST_OF("0")
            ") ORDER BY due_us - priority * ?5, priority DESC, job_id LIMIT 1) "
            "RETURNING job_id, epoch, organization_id, spec, attempt, created_us, trace_id");
        row.bind(turn->organization_id, now.us, instance_id, now.wall_us,
                 us_of(limits::kPriorityAge));
        EW_TRY(const bool claimed, row.step());
        if (!claimed) return fail(ErrorCode::kInternal, "claim: the job was there a moment ago");
        job = {{row.string(0), row.integer(1)},  row.string(2),  row.string(3),
               static_cast<int>(row.integer(4)), row.integer(5), row.string(6)};
        EW_TRY(const bool more, row.step());
        (void)more;
    }
    EW_CHECK(append_event(connection,
                          {job.lease.job_id, "claimed", std::string(instance_id),
                           "epoch " + std::to_string(job.lease.epoch), 1},
                          now));
    return std::optional(std::move(job));
}

}  // namespace export_worker::jobs
