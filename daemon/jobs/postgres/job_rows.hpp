// Rows of the table job to jobs and back, and what every change of a job writes beside it. Private
// to daemon/jobs/postgres; inside one transaction what does not only read.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/job_rules.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"
#include "daemon/postgres/connection.hpp"

// The columns read_job() reads, in its order.
#define EW_PG_JOB_COLUMNS                                                                      \
    "job.job_id, job.organization_id, job.job_type, job.runner, job.status, job.epoch, "       \
    "job.attempt, job.cancel_at IS NOT NULL, job.spec, job.total_items, job.processed_items, " \
    "job.failed_items, job.warned_items, job.stage, job.message, job.metadata, "               \
    "job.error_message, job.triggered_by, job.created_at, job.started_at, job.completed_at, "  \
    "job.attempts_max, job.crashes, job.interruptions, job.priority, job.held, "               \
    "job.total_is_estimate, job.due_at, job.deadline_at, job.expired_at, job.trace_id, "       \
    "job.start_at, job.silence_us"

namespace export_worker::jobs::pg {

[[nodiscard]] model::Job read_job(const postgres::Row& row);
// The job without its errors and warnings. kNotFound for unknown ones and those outside the scope
// alike.
[[nodiscard]] Result<model::Job> load_row(postgres::Connection& connection,
                                          const model::OrganizationScope& scope,
                                          std::string_view job_id);
// The same; no other transaction changes it until the transaction ends.
[[nodiscard]] Result<model::Job> lock_row(postgres::Connection& connection,
                                          const model::OrganizationScope& scope,
                                          std::string_view job_id);
// The job of an attempt that still runs, locked as above. kConflict: the lease is lost.
[[nodiscard]] Result<model::Job> lock_leased(postgres::Connection& connection,
                                             const model::Lease& lease,
                                             std::string_view instance_id);
// May a worker's job of the organization name this file? Errors: names_export_of().
[[nodiscard]] Result<void> check_names_no_export(postgres::Connection& connection,
                                                 std::string_view organization_id,
                                                 std::string_view file_url);
// The job with its errors and warnings.
[[nodiscard]] Result<model::Job> load(postgres::Connection& connection,
                                      const model::OrganizationScope& scope,
                                      std::string_view job_id);

// Writes what the rules of states change of a job: all but its metadata and what goes with it. Its
// owner stays while it is in progress. It is locked.
[[nodiscard]] Result<void> write_state(postgres::Connection& connection, const model::Job& job,
                                       const Now& now);
// Its metadata, and the columns that repeat parts of it. `metadata` is an object.
[[nodiscard]] Result<void> write_metadata(postgres::Connection& connection, std::string_view job_id,
                                          const nlohmann::json& metadata);
// Its deadline counts from `from_us`, if it has one.
[[nodiscard]] Result<void> restart_deadline(postgres::Connection& connection,
                                            std::string_view job_id, std::int64_t from_us);
// The jobs that housekeeping has picked, by organization: two daemons then change the rows of
// organizations in the same order.
[[nodiscard]] std::vector<model::Job> in_order_of_organizations(const postgres::Rows& rows);

[[nodiscard]] Result<void> append_entry(postgres::Connection& connection, std::string_view job_id,
                                        const char* kind, model::JobEntry entry, const Now& now);
struct NewEvent {
    std::string job_id;
    std::string kind;
    std::string detail;
};
// One more event of each job; at most one a job. The same by the same actor within kJobEventMerge,
// or beyond kJobEventsMax events, is counted on the one that is there.
[[nodiscard]] Result<void> append_events(postgres::Connection& connection,
                                         std::span<const NewEvent> events, std::string_view actor,
                                         const Now& now);
[[nodiscard]] Result<void> append_event(postgres::Connection& connection, const NewEvent& event,
                                        std::string_view actor, const Now& now);
// Of jobs that have just ended: the events, and the notices for the outside.
[[nodiscard]] Result<void> record_ends(postgres::Connection& connection,
                                       std::span<const model::Job> jobs, std::string_view actor,
                                       const Now& now);
[[nodiscard]] Result<void> record_end(postgres::Connection& connection, const model::Job& job,
                                      std::string_view actor, const Now& now);

}  // namespace export_worker::jobs::pg
