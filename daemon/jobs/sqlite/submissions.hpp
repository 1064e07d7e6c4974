// A new job, or the one its idempotency key has made before. Private to daemon/jobs/sqlite.
#pragma once

#include "base/result.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// As JobRequests::create(); a new job is the draft's.
[[nodiscard]] Result<CreatedJob> insert_job(sqlite::Connection& connection, const NewJob& submitted,
                                            JobDraft draft, const Now& now);

}  // namespace export_worker::jobs
