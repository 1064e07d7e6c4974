// A new job, or the one its idempotency key has made before. Private to daemon/jobs.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// A job that is not stored yet, and what its columns have beside it.
struct JobDraft {
    model::Job job;
    std::string file_url;
    std::string filename;
};

// The job that `submitted` asks for. Errors: kInvalidArgument (metadata).
[[nodiscard]] Result<JobDraft> draft_job(const NewJob& submitted, const std::string& job_id,
                                         const JobPolicy& policy, const Now& now);
// As JobStore::create(); a new job is the draft's.
[[nodiscard]] Result<CreatedJob> insert_job(sqlite::Connection& connection, const NewJob& submitted,
                                            JobDraft draft, const Now& now);

}  // namespace export_worker::jobs
