// Lists of jobs and how many there are of each status. Private to
// daemon/jobs/sqlite.
//
// A list costs the same however many jobs there are: it goes by job_id, which begins with the time
// the job was made, along an index that has only what the filter wants; totals are kept.
#pragma once

#include "base/result.hpp"
#include "daemon/jobs/job_reader.hpp"
#include "daemon/model/organization_scope.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

[[nodiscard]] Result<JobPage> list_jobs(sqlite::Connection& connection,
                                        const model::OrganizationScope& scope,
                                        const JobFilter& filter);
// Fills the numbers by status.
[[nodiscard]] Result<void> count_by_status(sqlite::Connection& connection, JobCounts& out);

}  // namespace export_worker::jobs
