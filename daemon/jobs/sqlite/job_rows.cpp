#include "daemon/jobs/sqlite/job_rows.hpp"

#include "base/json.hpp"
#include "daemon/jobs/file_key.hpp"
#include "daemon/jobs/job_entry_json.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/notice_body.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobEntry;
using model::JobRunner;
using model::JobStatus;
using model::OrganizationScope;
using sqlite::Connection;
using sqlite::Statement;

constexpr int kSpecColumn = 8;
constexpr int kMetadataColumn = 15;

// As append_events(), where the last event is the same: the jobs it is so for.
Result<std::vector<std::string>> count_on_last(Connection& connection,
                                               std::string_view job_ids_json, const NewEvent& event,
                                               const Now& now) {
    Statement rows = connection.statement(
        "UPDATE job_event SET count = count + 1, at_us = ?4 WHERE (job_id, number) IN (SELECT "
        "value, (SELECT max(number) FROM job_event AS same WHERE same.job_id = value AND kind = ?2 "
        "AND actor = ?3) FROM json_each(?1)) AND (number >= ?6 OR (at_us > ?4 - ?5 AND number = "
        "(SELECT max(number) FROM job_event AS last WHERE last.job_id = job_event.job_id))) AND "
        "detail = ?7 RETURNING job_id");
    rows.bind(job_ids_json, event.kind, event.actor, now.wall_us, us_of(limits::kJobEventMerge),
              limits::kJobEventsMax, event.detail);
    return sqlite::read_all(rows, sqlite::first_text);
}

Result<void> insert_notice(Connection& connection, const Job& job, const char* type,
                           const Now& now) {
    const model::Notice notice = make_notice(job, type, now.wall_us);
    return connection
        .statement(
            "INSERT INTO notice (event_id, organization_id, job_id, type, body, at_us, "
            "due_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .bind(notice.event_id, job.organization_id, job.job_id, type, notice.body_json, now.wall_us,
              now.us)
        .run();
}

Result<void> count_notices(Connection& connection, std::size_t count) {
    return connection
        .statement("UPDATE setting SET value = value + ?1 WHERE name = 'notices_pending'")
        .bind(static_cast<std::int64_t>(count))
        .run();
}

}  // namespace

Job read_job(const Statement& row) {
    Job job;
    job.job_id = row.string(0);
    job.organization_id = row.string(1);
    job.job_type = row.string(2);
    job.runner = row.text(3) == "daemon" ? JobRunner::kDaemon : JobRunner::kExternal;
    job.status = model::parse_job_status(row.text(4)).value_or(JobStatus::kFailed);
    job.epoch = row.integer(5);
    job.attempt = static_cast<int>(row.integer(6));
    job.cancel_requested = row.integer(7) != 0;
    job.spec_json = row.string(kSpecColumn);
    job.total_items = row.integer(9);
    job.processed_items = row.integer(10);
    job.failed_items = row.integer(11);
    job.warned_items = row.integer(12);
    job.stage = row.string(13);
    job.message = row.string(14);
    job.metadata_json = row.string(kMetadataColumn);
    job.error_message = row.string(16);
    job.triggered_by = row.string(17);
    job.created_us = row.integer(18);
    job.started_us = row.optional_integer(19);
    job.completed_us = row.optional_integer(20);
    job.attempts_max = static_cast<int>(row.integer(21));
    job.crashes = static_cast<int>(row.integer(22));
    job.interruptions = static_cast<int>(row.integer(23));
    job.priority = static_cast<model::JobPriority>(row.integer(24));
    job.held = row.integer(25) != 0;
    job.total_is_estimate = row.integer(26) != 0;
    job.due_us = row.integer(27);
    job.deadline_us = row.optional_integer(28);
    job.expired_us = row.optional_integer(29);
    job.trace_id = row.string(30);
    job.start_us = row.optional_integer(31);
    job.silence_us = row.optional_integer(32);
    return job;
}

std::size_t job_bytes(const Statement& row) {
    constexpr std::size_t kOtherColumns = 1024;
    return kOtherColumns + row.text(kSpecColumn).size() + row.text(kMetadataColumn).size();
}

Result<Job> load_row(Connection& connection, const OrganizationScope& scope,
                     std::string_view job_id) {
    Statement row = connection.statement(
        "SELECT " EW_JOB_COLUMNS
        " FROM job WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
    EW_TRY(const bool found, row.bind(job_id, scope.organization_id()).step());
    if (!found) return not_found();
    return read_job(row);
}

Result<Job> load_leased(Connection& connection, const model::Lease& lease) {
    Statement row = connection.statement("SELECT " EW_JOB_COLUMNS
                                         " FROM job WHERE job_id = ?1 AND epoch = ?2 AND "
                                         "claim_token = ?3 AND status = 'in_progress'");
    EW_TRY(const bool found, row.bind(lease.job_id, lease.epoch, lease.claim_token).step());
    if (!found) return lease_lost(lease);
    return read_job(row);
}

Result<void> write_state(Connection& connection, const Job& job, const Now& now) {
    return connection
        .statement(
            "UPDATE job SET status = ?2, attempt = ?3, crashes = ?4, interruptions = ?5, held = "
            "?6, cancel_us = iif(?7, coalesce(cancel_us, ?8), NULL), due_us = ?9, completed_us = "
            "?10, total_items = ?11, processed_items = ?12, failed_items = ?13, warned_items = "
            "?14, stage = ?15, error_message = ?16, owner = iif(?2 = 'in_progress', owner, '') "
            "WHERE job_id = ?1")
        .bind(job.job_id, model::to_string(job.status), job.attempt, job.crashes, job.interruptions,
              job.held ? 1 : 0, job.cancel_requested ? 1 : 0, now.wall_us, job.due_us,
              job.completed_us, job.total_items, job.processed_items, job.failed_items,
              job.warned_items, job.stage, job.error_message)
        .run();
}

Result<void> check_names_no_export(Connection& connection, std::string_view organization_id,
                                   std::string_view file_url) {
    const std::string owner = job_id_of_url(file_url);
    if (owner.empty()) return {};
    Statement row = connection.statement(
        "SELECT 1 FROM job WHERE job_id = ?1 AND organization_id = ?2 AND runner = 'daemon'");
    EW_TRY(const bool is_export, row.bind(owner, organization_id).step());
    if (is_export) return names_export_of(owner);
    return {};
}

Result<Job> load(Connection& connection, const OrganizationScope& scope, std::string_view job_id) {
    EW_TRY(Job job, load_row(connection, scope, job_id));
    Statement entries = connection.statement(
        "SELECT kind, body FROM job_entry WHERE job_id = ?1 ORDER BY kind, number");
    entries.bind(job_id);
    EW_CHECK(sqlite::for_each_row(entries, [&](const Statement& row) {
        (row.text(0) == "error" ? job.errors : job.warnings)
            .push_back(entry_from_json(row.text(1)));
    }));
    return job;
}

Result<void> append_entry(Connection& connection, std::string_view job_id, const char* kind,
                          JobEntry entry, const Now& now) {
    entry.at_us = now.wall_us;
    return connection
        .statement(
            "INSERT INTO job_entry (job_id, kind, number, body) "
            "SELECT ?1, ?2, count(*), ?3 FROM job_entry WHERE job_id = ?1 AND kind = ?2 HAVING "
            "count(*) < ?4")
        .bind(job_id, kind, entry_to_json(entry), static_cast<std::int64_t>(limits::kJobErrorsMax))
        .run();
}

Result<void> append_first_event(Connection& connection, std::string_view job_id,
                                const NewEvent& event, const Now& now) {
    return connection
        .statement(
            "INSERT INTO job_event (job_id, number, at_us, kind, actor, detail) "
            "VALUES (?1, 1, ?2, ?3, ?4, ?5)")
        .bind(job_id, now.wall_us, event.kind, event.actor, event.detail)
        .run();
}

Result<void> append_event(Connection& connection, std::string_view job_id, const NewEvent& event,
                          const Now& now) {
    return append_events(connection, dump_json(nlohmann::json::array({job_id})), event, now);
}

Result<void> append_events(Connection& connection, std::string_view job_ids_json,
                           const NewEvent& event, const Now& now) {
    EW_TRY(const std::vector<std::string> counted,
           count_on_last(connection, job_ids_json, event, now));
    return connection
        .statement(
            "INSERT INTO job_event (job_id, number, at_us, kind, actor, detail) SELECT value, 1 + "
            "coalesce((SELECT max(number) FROM job_event WHERE job_id = value), 0), ?4, ?2, ?3, ?5 "
            "FROM json_each(?1) WHERE value NOT IN (SELECT value FROM json_each(?6)) AND EXISTS "
            "(SELECT 1 FROM job WHERE job_id = value)")
        .bind(job_ids_json, event.kind, event.actor, now.wall_us, event.detail,
              dump_json(nlohmann::json(counted)))
        .run();
}

Result<void> append_notice(Connection& connection, const Job& job, const char* type,
                           const Now& now) {
    EW_CHECK(count_notices(connection, 1));
    return insert_notice(connection, job, type, now);
}

Result<void> append_notices(Connection& connection, const std::vector<std::string>& job_ids,
                            const char* type, const Now& now) {
    EW_CHECK(count_notices(connection, job_ids.size()));
    for (const std::string& job_id : job_ids) {
        EW_TRY(const Job job, load_row(connection, OrganizationScope::every(), job_id));
        EW_CHECK(insert_notice(connection, job, type, now));
    }
    return {};
}

Result<void> record_end(Connection& connection, const Job& job, std::string_view actor,
                        const Now& now) {
    const EndKinds kinds = end_kinds(job.status);
    const bool failed = job.status == JobStatus::kFailed;
    EW_CHECK(connection.statement("UPDATE job SET ended_us = ?2 WHERE job_id = ?1")
                 .bind(job.job_id, now.us)
                 .run());
    const std::string_view detail = failed ? std::string_view(job.error_message) : "";
    EW_CHECK(append_event(connection, job.job_id, {kinds.event, actor, detail}, now));
    return append_notice(connection, job, kinds.notice, now);
}

}  // namespace export_worker::jobs
