#include "daemon/jobs/sqlite/deadlines.hpp"

#include <map>

#include "base/json.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/notice_body.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr auto kBatch = static_cast<std::int64_t>(limits::kHousekeepingBatch);

struct Late {
    std::string job_id;
    std::string why;
};

Late read_late(const Statement& row) {
    Late late{row.string(0), "its deadline has passed"};
    if (const auto stored_bytes_max = row.optional_integer(1)) {
        late.why += " while it waited: its organization may store " +
                    std::to_string(*stored_bytes_max) + " bytes of exports, and stores " +
                    std::to_string(row.integer(2)) + "; retry it when some have expired";
    }
    return late;
}

}  // namespace

Result<void> fail_jobs(Connection& connection, const std::vector<std::string>& job_ids,
                       std::string_view why, std::string_view actor, const Now& now) {
    if (job_ids.empty()) return {};
    // One statement for all, not attempt_rules.hpp for each: there is nothing to decide, and each
    // statement that changes rows makes SQLite copy every page it touches.
    const std::string ids = dump_json(nlohmann::json(job_ids));
    EW_CHECK(connection
                 .statement("UPDATE job SET status = 'failed', completed_us = ?2, ended_us = ?3, "
                            "stage = '', error_message = ?4 WHERE job_id IN (SELECT value FROM "
                            "json_each(?1))")
                 .bind(ids, now.wall_us, now.us, why)
                 .run());
    const EndKinds kinds = end_kinds(model::JobStatus::kFailed);
    EW_CHECK(append_events(connection, ids, {kinds.event, actor, why}, now));
    return append_notices(connection, job_ids, kinds.notice, now);
}

Result<std::size_t> fail_late(Connection& connection, std::string_view actor, const Now& now) {
    Statement rows = connection.statement(
        "SELECT job_id, iif(status = 'pending' AND runner = 'daemon' AND stored_bytes >= "
        "stored_bytes_max, stored_bytes_max, NULL), stored_bytes FROM job LEFT JOIN organization "
        "USING (organization_id) WHERE deadline_us IS NOT NULL AND status IN ('pending', "
        "'in_progress') AND deadline_us <= ?1 ORDER BY deadline_us LIMIT ?2");
    rows.bind(now.us, kBatch);
    EW_TRY(const std::vector<Late> late, sqlite::read_all(rows, read_late));
    std::map<std::string, std::vector<std::string>> by_reason;
    for (const Late& each : late) by_reason[each.why].push_back(each.job_id);
    for (const auto& [why, job_ids] : by_reason)
        EW_CHECK(fail_jobs(connection, job_ids, why, actor, now));
    return late.size();
}

}  // namespace export_worker::jobs
