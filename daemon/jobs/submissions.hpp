// A new job, or the one its idempotency key has made before. Private to daemon/jobs.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// As JobStore::create(); a new job is `job_id`.
[[nodiscard]] Result<CreatedJob> create_job(sqlite::Connection& connection, const NewJob& job,
                                            const std::string& job_id, const JobPolicy& policy,
                                            const Now& now);

}  // namespace export_worker::jobs
