#include "daemon/jobs/sqlite/deadlines.hpp"

#include <string>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

Result<std::string> why_late(Connection& connection, std::string_view job_id) {
    Statement row = connection.statement(
        "SELECT stored_bytes_max, stored_bytes FROM job JOIN organization USING (organization_id) "
        "WHERE job_id = ?1 AND status = 'pending' AND runner = 'daemon' AND stored_bytes >= "
        "stored_bytes_max");
    EW_TRY(const bool over_quota, row.bind(job_id).step());
    if (!over_quota) return std::string("its deadline has passed");
    return "its deadline has passed while it waited: its organization may store " +
           std::to_string(row.integer(0)) + " bytes of exports, and stores " +
           std::to_string(row.integer(1)) + "; retry it when some have expired";
}

}  // namespace

Result<void> fail_job(Connection& connection, std::string_view job_id, std::string_view why,
                      std::string_view actor, const Now& now) {
    EW_CHECK(connection
                 .statement("UPDATE job SET status = 'failed', completed_us = ?2, stage = '', "
                            "error_message = ?3 WHERE job_id = ?1")
                 .bind(job_id, now.wall_us, why)
                 .run());
    return record_end_of(connection, job_id, actor, now);
}

Result<std::size_t> fail_late(Connection& connection, std::string_view actor, const Now& now) {
    EW_TRY(const std::vector<std::string> late,
           sqlite::select_texts(
               connection,
               "SELECT job_id FROM job WHERE deadline_us IS NOT NULL AND status IN ('pending', "
               "'in_progress') AND deadline_us <= ?1 ORDER BY deadline_us LIMIT ?2",
               now.us, kBatch));
    for (const std::string& job_id : late) {
        EW_TRY(const std::string why, why_late(connection, job_id));
        EW_CHECK(fail_job(connection, job_id, why, actor, now));
    }
    return late.size();
}

}  // namespace export_worker::jobs
