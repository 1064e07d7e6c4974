// Rows of jobs.db to jobs and back, and what every change of a job writes beside it. Private to
// daemon/jobs/sqlite.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/job_rules.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"
#include "daemon/sqlite/connection.hpp"

// The columns read_job() reads, in its order.
#define EW_JOB_COLUMNS                                                                           \
    "job_id, organization_id, job_type, runner, status, epoch, attempt, cancel_us IS NOT NULL, " \
    "spec, total_items, processed_items, failed_items, warned_items, stage, message, metadata, " \
    "error_message, triggered_by, created_us, started_us, completed_us, attempts_max, crashes, " \
    "interruptions, priority, held, total_is_estimate, due_us, deadline_us, expired_us, "        \
    "trace_id, "                                                                                 \
    "start_us, silence_us"

namespace export_worker::jobs {

// `deadline_us` and `due_us` are of the registry's own time.
[[nodiscard]] model::Job read_job(const sqlite::Statement& row);
// The job without its errors and warnings. kNotFound for unknown ones and those outside the scope
// alike.
[[nodiscard]] Result<model::Job> load_row(sqlite::Connection& connection,
                                          const model::OrganizationScope& scope,
                                          std::string_view job_id);
// The job of an attempt that still runs. kConflict: the lease is lost.
[[nodiscard]] Result<model::Job> load_leased(sqlite::Connection& connection,
                                             const model::Lease& lease);
// Writes what the rules of states change of a job (attempt_rules.hpp); its deadline, its metadata
// and what goes with them stay. Call it in the transaction that has read the job.
[[nodiscard]] Result<void> write_state(sqlite::Connection& connection, const model::Job& job,
                                       const Now& now);
// May a worker's job of the organization name this file? Errors: names_export_of().
[[nodiscard]] Result<void> check_names_no_export(sqlite::Connection& connection,
                                                 std::string_view organization_id,
                                                 std::string_view file_url);
// How much text read_job() will copy.
[[nodiscard]] std::size_t job_bytes(const sqlite::Statement& row);
// The job with its errors and warnings. kNotFound for unknown ones and those outside the scope
// alike.
[[nodiscard]] Result<model::Job> load(sqlite::Connection& connection,
                                      const model::OrganizationScope& scope,
                                      std::string_view job_id);

// Borrowed for the call.
struct NewEvent {
    std::string_view kind;
    std::string_view actor;
    std::string_view detail = {};
};

[[nodiscard]] Result<void> append_entry(sqlite::Connection& connection, std::string_view job_id,
                                        const char* kind, model::JobEntry entry, const Now& now);
// The one a job begins with: nothing to look at, nothing to merge with.
[[nodiscard]] Result<void> append_first_event(sqlite::Connection& connection,
                                              std::string_view job_id, const NewEvent& event,
                                              const Now& now);
// One more event. The same by the same actor within kJobEventMerge, or beyond kJobEventsMax events,
// is counted on the one that is there.
[[nodiscard]] Result<void> append_event(sqlite::Connection& connection, std::string_view job_id,
                                        const NewEvent& event, const Now& now);
// The same for each of these jobs, in as many statements as for one. `job_ids_json`: an array.
[[nodiscard]] Result<void> append_events(sqlite::Connection& connection,
                                         std::string_view job_ids_json, const NewEvent& event,
                                         const Now& now);
// Of a job that has just ended: the event, and the notice for the outside. Call it in the
// transaction that ends the job.
[[nodiscard]] Result<void> record_end(sqlite::Connection& connection, const model::Job& job,
                                      std::string_view actor, const Now& now);
// The notice alone, of any type.
[[nodiscard]] Result<void> append_notice(sqlite::Connection& connection, const model::Job& job,
                                         const char* type, const Now& now);
// The same for each of these jobs, as it is now.
[[nodiscard]] Result<void> append_notices(sqlite::Connection& connection,
                                          const std::vector<std::string>& job_ids, const char* type,
                                          const Now& now);

}  // namespace export_worker::jobs
