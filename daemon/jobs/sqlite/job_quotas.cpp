#include "daemon/jobs/sqlite/job_quotas.hpp"

#include <optional>

#include "daemon/jobs/job_rules.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/request_quotas.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

struct Limits {
    std::optional<std::int64_t> unfinished_max;
    std::optional<std::int64_t> stored_bytes_max;
    std::int64_t stored_bytes = 0;
};

Result<Limits> limits_of(Connection& connection, std::string_view organization_id) {
    Statement row = connection.statement(
        "SELECT unfinished_max, stored_bytes_max, stored_bytes FROM organization WHERE "
        "organization_id = ?1");
    EW_TRY(const bool found, row.bind(organization_id).step());
    if (!found) return Limits();
    return Limits{row.optional_integer(0), row.optional_integer(1), row.integer(2)};
}

Result<bool> has_unfinished(Connection& connection, std::string_view organization_id,
                            std::int64_t count) {
    Statement row = connection.statement(
        "SELECT coalesce(sum(jobs), 0) FROM job_count WHERE organization_id = ?1 AND status IN "
        "('pending', 'in_progress')");
    EW_TRY(const bool found, row.bind(organization_id).step());
    return found && row.integer(0) >= count;
}

}  // namespace

Result<void> check_job_quotas(Connection& connection, std::string_view organization_id,
                              model::JobRunner runner) {
    EW_TRY(const Limits quota, limits_of(connection, organization_id));
    if (quota.unfinished_max) {
        EW_TRY(const bool full, has_unfinished(connection, organization_id, *quota.unfinished_max));
        if (full)
            return quota_exceeded(organization_id,
                                  "may have " + std::to_string(*quota.unfinished_max) +
                                      " unfinished jobs, and has them; wait until some "
                                      "end, or cancel some");
    }
    const bool stores = runner == model::JobRunner::kDaemon && quota.stored_bytes_max.has_value();
    if (stores && quota.stored_bytes >= *quota.stored_bytes_max)
        return quota_exceeded(organization_id,
                              "may store " + std::to_string(*quota.stored_bytes_max) +
                                  " bytes of exports, and stores " +
                                  std::to_string(quota.stored_bytes) + "; wait until some expire");
    return {};
}

Result<void> check_job_type(Connection& connection, std::string_view organization_id,
                            std::string_view job_type) {
    Statement known = connection.statement(
        "SELECT 1 FROM job WHERE organization_id = ?1 AND job_type = ?2 LIMIT 1");
    EW_TRY(const bool is_known, known.bind(organization_id, job_type).step());
    if (is_known) return {};
    Statement types = connection.statement(
        "SELECT count(DISTINCT job_type) FROM job_count WHERE organization_id = ?1 AND job_type <> "
        "?2");
    EW_TRY(const bool counted, types.bind(organization_id, model::kExportJobType).step());
    if (!counted || types.integer(0) < limits::kJobTypesMax) return {};
    return too_many_job_types();
}

}  // namespace export_worker::jobs
