// Unfinished jobs, types of jobs and stored bytes that an organization may have. Private to
// daemon/jobs/sqlite.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "daemon/model/job.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// May the organization have one more unfinished job? Errors: kQuotaExceeded, naming the quota.
[[nodiscard]] Result<void> check_job_quotas(sqlite::Connection& connection,
                                            std::string_view organization_id,
                                            model::JobRunner runner);
// May it have a worker's job of this type? Errors: too_many_job_types().
[[nodiscard]] Result<void> check_job_type(sqlite::Connection& connection,
                                          std::string_view organization_id,
                                          std::string_view job_type);

}  // namespace export_worker::jobs
