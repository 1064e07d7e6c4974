#include "daemon/jobs/postgres/deadlines.hpp"

#include <string>
#include <utility>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using model::Job;
using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

#define EW_PG_LOCK_BATCH " LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED"

struct Failed {
    std::vector<std::string> job_ids;
    std::vector<std::string> errors;  // Of each.
    // Which run in a daemon: the end of such a job changes its organization's row.
    std::vector<std::string> organization_ids;

    void add(const Job& job, std::string error) {
        job_ids.push_back(job.job_id);
        errors.push_back(std::move(error));
        if (job.runner == model::JobRunner::kDaemon && job.status == model::JobStatus::kInProgress)
            organization_ids.push_back(job.organization_id);
    }
};

// In the same order by every daemon, so that no two wait for each other.
Result<void> lock_organizations(Connection& connection, const std::vector<std::string>& ids) {
    if (ids.empty()) return {};
    return connection.change(
        "SELECT 1 FROM organization WHERE organization_id = ANY ($1::text[]) ORDER BY "
        "organization_id FOR NO KEY UPDATE",
        ids);
}

// The jobs are locked. In few statements, however many there are.
Result<std::size_t> fail_all(Connection& connection, const Failed& failed, std::string_view actor,
                             const Now& now) {
    if (failed.job_ids.empty()) return std::size_t{0};
    EW_CHECK(lock_organizations(connection, failed.organization_ids));
    EW_TRY(
        const Rows ended,
        connection.query(
            "UPDATE job SET status = 'failed', completed_at = $3, stage = '', owner = NULL, "
            "error_message = failed.error FROM unnest($1::text[], $2::text[]) AS failed (job_id, "
            "error) WHERE job.job_id = failed.job_id RETURNING " EW_PG_JOB_COLUMNS,
            failed.job_ids, failed.errors, UnixTime{now.wall_us}));
    EW_CHECK(record_ends(connection, ended.each(read_job), actor, now));
    return failed.job_ids.size();
}

Result<std::size_t> fail_each(Connection& connection, const Rows& rows, const char* why,
                              std::string_view actor, const Now& now) {
    Failed failed;
    for (const Row row : rows) failed.add(read_job(row), why);
    return fail_all(connection, failed, actor, now);
}

// Behind EW_PG_JOB_COLUMNS.
constexpr int kStoredBytesMaxColumn = 33;
constexpr int kStoredBytesColumn = 34;

std::string why_late(const Row& row) {
    std::string why = "its deadline has passed";
    if (const auto stored_bytes_max = row.optional_integer(kStoredBytesMaxColumn)) {
        why += " while it waited: its organization may store " + std::to_string(*stored_bytes_max) +
               " bytes of exports, and stores " + std::to_string(row.integer(kStoredBytesColumn)) +
               "; retry it when some have expired";
    }
    return why;
}

}  // namespace

Result<std::size_t> fail_late(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const Rows late,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            ", CASE WHEN status = 'pending' AND runner = 'daemon' AND stored_bytes "
                            ">= stored_bytes_max THEN stored_bytes_max END, stored_bytes FROM job "
                            "LEFT JOIN organization USING (organization_id) WHERE deadline_at IS "
                            "NOT NULL AND completed_at IS NULL AND deadline_at <= $1 ORDER BY "
                            "deadline_at LIMIT $2 FOR NO KEY UPDATE OF job SKIP LOCKED",
                            UnixTime{now.us}, kBatch));
    Failed failed;
    for (const Row row : late) failed.add(read_job(row), why_late(row));
    return fail_all(connection, failed, actor, now);
}

Result<std::size_t> fail_silent(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const Rows silent,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE silent_at IS NOT NULL AND status = 'in_progress' AND "
                            "silent_at < $1 ORDER BY silent_at" EW_PG_LOCK_BATCH,
                            UnixTime{now.us}, kBatch));
    return fail_each(connection, silent,
                     "its worker has not reported for longer than the job allows", actor, now);
}

Result<std::size_t> fail_abandoned(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const Rows abandoned,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE runner = 'external' AND completed_at IS NULL AND "
                            "coalesce(seen_at, due_at) <= $1 ORDER BY coalesce(seen_at, "
                            "due_at)" EW_PG_LOCK_BATCH,
                            UnixTime{now.us - us_of(limits::kExternalSilenceMax)}, kBatch));
    return fail_each(connection, abandoned, "no worker has reported on it for 30 days", actor, now);
}

}  // namespace export_worker::jobs::pg
