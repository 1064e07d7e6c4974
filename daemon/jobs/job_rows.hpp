// Rows of jobs.db to jobs and back. Private to daemon/jobs.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"
#include "daemon/sqlite/connection.hpp"

// The columns read_job() reads, in its order.
#define EW_JOB_COLUMNS                                                                           \
    "job_id, organization_id, job_type, runner, status, epoch, attempt, cancel_us IS NOT NULL, " \
    "spec, total_items, "                                                                        \
    "processed_items, failed_items, warned_items, stage, message, metadata, error_message, "     \
    "triggered_by, "                                                                             \
    "created_us, started_us, completed_us"

namespace export_worker::jobs {

[[nodiscard]] model::Job read_job(const sqlite::Statement& row);
// The body of a row of job_entry.
[[nodiscard]] std::string entry_to_json(const model::JobEntry& entry);
[[nodiscard]] model::JobEntry entry_from_json(std::string_view text);

// The job with its errors and warnings. kNotFound for unknown ones and those outside the scope
// alike.
[[nodiscard]] Result<model::Job> load(sqlite::Connection& connection,
                                      const model::OrganizationScope& scope,
                                      std::string_view job_id);

[[nodiscard]] tl::unexpected<Error> not_found();
[[nodiscard]] tl::unexpected<Error> lease_lost(const model::Lease& lease);

}  // namespace export_worker::jobs
