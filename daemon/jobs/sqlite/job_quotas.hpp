// Unfinished jobs and stored bytes that an organization may have. Private to daemon/jobs/sqlite.
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

}  // namespace export_worker::jobs
