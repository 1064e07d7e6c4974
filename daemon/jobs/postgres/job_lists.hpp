// Pages of jobs, and how many there are. Private to daemon/jobs/postgres.
#pragma once

#include "base/result.hpp"
#include "daemon/jobs/job_reader.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// As JobReader::list(); what changes between its statements may be missing.
[[nodiscard]] Result<JobPage> list_jobs(postgres::Connection& connection,
                                        const model::OrganizationScope& scope,
                                        const JobFilter& filter);
// Fills the numbers of jobs by status.
[[nodiscard]] Result<void> count_by_status(postgres::Connection& connection, JobCounts& out);
// Adds changes of the numbers of jobs to the numbers, at most kCountChangesMax; how many.
[[nodiscard]] Result<std::size_t> fold_counts(postgres::Connection& connection);

}  // namespace export_worker::jobs::pg
