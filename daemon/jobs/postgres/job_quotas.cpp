#include "daemon/jobs/postgres/job_quotas.hpp"

#include <optional>
#include <string>

#include "daemon/jobs/job_rules.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/request_quotas.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Rows;

Result<bool> has_unfinished(Connection& connection, std::string_view organization_id,
                            std::int64_t count) {
    EW_CHECK(
        connection.change("SELECT 1 FROM organization WHERE organization_id = $1 FOR NO KEY UPDATE",
                          organization_id));
    EW_TRY(const Rows rows,
           connection.query("SELECT coalesce(sum(jobs), 0)::bigint FROM job_counts WHERE "
                            "organization_id = $1 AND status IN ('pending', 'in_progress')",
                            organization_id));
    return rows.front().integer(0) >= count;
}

}  // namespace

Result<void> check_job_quotas(Connection& connection, std::string_view organization_id,
                              model::JobRunner runner, UnlimitedOrganizations& unlimited) {
    if (unlimited.contains(organization_id)) return {};
    EW_TRY(const Rows rows,
           connection.query("SELECT unfinished_max, stored_bytes_max, stored_bytes FROM "
                            "organization WHERE organization_id = $1",
                            organization_id));
    if (rows.empty()) return {};
    const std::optional<std::int64_t> unfinished_max = rows.front().optional_integer(0);
    const std::optional<std::int64_t> stored_bytes_max = rows.front().optional_integer(1);
    if (!unfinished_max && !stored_bytes_max) unlimited.emplace(organization_id);
    const std::int64_t stored_bytes = rows.front().integer(2);
    if (unfinished_max) {
        EW_TRY(const bool full, has_unfinished(connection, organization_id, *unfinished_max));
        if (full)
            return quota_exceeded(organization_id,
                                  "may have " + std::to_string(*unfinished_max) +
                                      " unfinished jobs, and has them; wait until some "
                                      "end, or cancel some");
    }
    const bool stores = runner == model::JobRunner::kDaemon && stored_bytes_max.has_value();
    if (stores && stored_bytes >= *stored_bytes_max)
        return quota_exceeded(organization_id, "may store " + std::to_string(*stored_bytes_max) +
                                                   " bytes of exports, and stores " +
                                                   std::to_string(stored_bytes) +
                                                   "; wait until some expire");
    return {};
}

Result<void> check_job_type(Connection& connection, std::string_view organization_id,
                            std::string_view job_type) {
    EW_TRY(
        const Rows known,
        connection.query("SELECT 1 FROM job WHERE organization_id = $1 AND job_type = $2 LIMIT 1",
                         organization_id, job_type));
    if (!known.empty()) return {};
    EW_TRY(const Rows types,
           connection.query("SELECT count(*) FROM (SELECT 1 FROM job_counts WHERE organization_id "
                            "= $1 AND job_type <> $2 GROUP BY job_type HAVING sum(jobs) > 0) AS "
                            "types",
                            organization_id, model::kExportJobType));
    if (types.front().integer(0) < limits::kJobTypesMax) return {};
    return too_many_job_types();
}

}  // namespace export_worker::jobs::pg
