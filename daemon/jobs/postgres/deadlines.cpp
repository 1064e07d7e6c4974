#include "daemon/jobs/postgres/deadlines.hpp"

#include <string>
#include <vector>

#include "daemon/jobs/attempt_rules.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using model::Job;
using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

#define EW_PG_LOCK_BATCH " LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"

// `why(job)` is a Result<std::string>: its error message.
template <typename Why>
Result<std::size_t> fail_each(Connection& connection, const Rows& rows, std::string_view actor,
                              const Now& now, const Why& why) {
    std::vector<Job> jobs = in_order_of_organizations(rows);
    for (Job& job : jobs) {
        EW_TRY(const std::string error, why(job));
        jobs::fail_job(job, error, now);
        EW_CHECK(write_state(connection, job, now));
    }
    EW_CHECK(record_ends(connection, jobs, actor, now));
    return jobs.size();
}

Result<std::string> why_late(Connection& connection, const Job& job) {
    const bool waits =
        job.status == model::JobStatus::kPending && job.runner == model::JobRunner::kDaemon;
    if (!waits) return std::string("its deadline has passed");
    EW_TRY(const Rows full,
           connection.query("SELECT stored_bytes_max, stored_bytes FROM organization WHERE "
                            "organization_id = $1 AND stored_bytes >= stored_bytes_max",
                            job.organization_id));
    if (full.empty()) return std::string("its deadline has passed");
    return "its deadline has passed while it waited: its organization may store " +
           std::to_string(full.front().integer(0)) + " bytes of exports, and stores " +
           std::to_string(full.front().integer(1)) + "; retry it when some have expired";
}

}  // namespace

Result<std::size_t> fail_late(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const Rows late,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE deadline_at IS NOT NULL AND completed_at IS NULL AND "
                            "deadline_at <= $1 ORDER BY deadline_at" EW_PG_LOCK_BATCH,
                            UnixTime{now.us}, kBatch));
    return fail_each(connection, late, actor, now,
                     [&](const Job& job) { return why_late(connection, job); });
}

Result<std::size_t> fail_silent(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const Rows silent,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE silent_at IS NOT NULL AND status = 'in_progress' AND "
                            "silent_at < $1 ORDER BY silent_at" EW_PG_LOCK_BATCH,
                            UnixTime{now.us}, kBatch));
    return fail_each(connection, silent, actor, now, [](const Job&) -> Result<std::string> {
        return std::string("its worker has not reported for longer than the job allows");
    });
}

Result<std::size_t> fail_abandoned(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const Rows abandoned,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE runner = 'external' AND completed_at IS NULL AND "
                            "coalesce(seen_at, due_at) <= $1 ORDER BY coalesce(seen_at, "
                            "due_at)" EW_PG_LOCK_BATCH,
                            UnixTime{now.us - us_of(limits::kExternalSilenceMax)}, kBatch));
    return fail_each(connection, abandoned, actor, now, [](const Job&) -> Result<std::string> {
        return std::string("no worker has reported on it for 30 days");
    });
}

}  // namespace export_worker::jobs::pg
