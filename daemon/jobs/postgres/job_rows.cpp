#include "daemon/jobs/postgres/job_rows.hpp"

#include <algorithm>
#include <chrono>
#include <optional>

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/jobs/file_key.hpp"
#include "daemon/jobs/job_entry_json.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/notice_body.hpp"
#include "daemon/jobs/postgres/notice_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using model::Job;
using model::JobEntry;
using model::JobRunner;
using model::JobStatus;
using model::OrganizationScope;
using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::unix_time;
using postgres::UnixTime;

#define EW_PG_JOB_IN_SCOPE \
    " FROM job WHERE job_id = $1 AND ($2::text IS NULL OR organization_id = $2)"

Result<Job> one_job(const Result<Rows>& rows) {
    if (!rows) return fail(rows.error());
    if (rows->empty()) return not_found();
    return read_job(rows->front());
}

}  // namespace

Job read_job(const Row& row) {
    Job job;
    job.job_id = row.string(0);
    job.organization_id = row.string(1);
    job.job_type = row.string(2);
    job.runner = row.text(3) == "daemon" ? JobRunner::kDaemon : JobRunner::kExternal;
    job.status = model::parse_job_status(row.text(4)).value_or(JobStatus::kFailed);
    job.epoch = row.integer(5);
    job.attempt = static_cast<int>(row.integer(6));
    job.cancel_requested = row.boolean(7);
    job.spec_json = row.string(8);
    job.total_items = row.integer(9);
    job.processed_items = row.integer(10);
    job.failed_items = row.integer(11);
    job.warned_items = row.integer(12);
    job.stage = row.string(13);
    job.message = row.string(14);
    job.metadata_json = row.string(15);
    job.error_message = row.string(16);
    job.triggered_by = row.string(17);
    job.created_us = row.unix_us(18);
    job.started_us = row.optional_unix_us(19);
    job.completed_us = row.optional_unix_us(20);
    job.attempts_max = static_cast<int>(row.integer(21));
    job.crashes = static_cast<int>(row.integer(22));
    job.interruptions = static_cast<int>(row.integer(23));
    job.priority = static_cast<model::JobPriority>(row.integer(24));
    job.held = row.boolean(25);
    job.total_is_estimate = row.boolean(26);
    job.due_us = row.unix_us(27);
    job.deadline_us = row.optional_unix_us(28);
    job.expired_us = row.optional_unix_us(29);
    job.trace_id = row.string(30);
    job.start_us = row.optional_unix_us(31);
    job.silence_us = row.optional_integer(32);
    return job;
}

Result<Job> load_row(Connection& connection, const OrganizationScope& scope,
                     std::string_view job_id) {
    return one_job(connection.query("SELECT " EW_PG_JOB_COLUMNS EW_PG_JOB_IN_SCOPE, job_id,
                                    scope.organization_id()));
}

Result<Job> lock_row(Connection& connection, const OrganizationScope& scope,
                     std::string_view job_id) {
    return one_job(connection.query("SELECT " EW_PG_JOB_COLUMNS EW_PG_JOB_IN_SCOPE
                                    " FOR NO KEY UPDATE",
                                    job_id, scope.organization_id()));
}

Result<Job> lock_leased(Connection& connection, const model::Lease& lease,
                        std::string_view instance_id) {
    EW_TRY(const Rows rows,
           connection.query("SELECT " EW_PG_JOB_COLUMNS
                            " FROM job WHERE job_id = $1 AND epoch = $2 AND claim_token = $3 AND "
                            "owner = $4 FOR NO KEY UPDATE",
                            lease.job_id, lease.epoch, lease.claim_token, instance_id));
    if (rows.empty()) return lease_lost(lease);
    return read_job(rows.front());
}

Result<void> check_names_no_export(Connection& connection, std::string_view organization_id,
                                   std::string_view file_url) {
    const std::string owner = job_id_of_url(file_url);
    if (owner.empty()) return {};
    EW_TRY(const Rows rows,
           connection.query("SELECT 1 FROM job WHERE job_id = $1 AND organization_id = $2 AND "
                            "runner = 'daemon'",
                            owner, organization_id));
    if (!rows.empty()) return names_export_of(owner);
    return {};
}

Result<Job> load(Connection& connection, const OrganizationScope& scope, std::string_view job_id) {
    EW_TRY(Job job, load_row(connection, scope, job_id));
    EW_TRY(const Rows entries,
           connection.query(
               "SELECT kind, body FROM job_entry WHERE job_id = $1 ORDER BY kind, number", job_id));
    for (const Row row : entries)
        (row.text(0) == "error" ? job.errors : job.warnings)
            .push_back(entry_from_json(row.text(1)));
    return job;
}

Result<void> write_state(Connection& connection, const Job& job, const Now& now) {
    return connection.change(
        "UPDATE job SET status = $2, attempt = $3, crashes = $4, interruptions = $5, held = $6, "
        "cancel_at = CASE WHEN $7 THEN coalesce(cancel_at, $8) END, due_at = $9, deadline_at = "
        "$10, started_at = $11, completed_at = $12, total_items = $13, processed_items = $14, "
        "failed_items = $15, warned_items = $16, stage = $17, message = $18, error_message = $19, "
        "owner = CASE WHEN $2 = 'in_progress' THEN owner END WHERE job_id = $1",
        job.job_id, model::to_string(job.status), job.attempt, job.crashes, job.interruptions,
        job.held, job.cancel_requested, UnixTime{now.us}, UnixTime{job.due_us},
        unix_time(job.deadline_us), unix_time(job.started_us), unix_time(job.completed_us),
        job.total_items, job.processed_items, job.failed_items, job.warned_items, job.stage,
        job.message, job.error_message);
}

Result<void> write_metadata(Connection& connection, std::string_view job_id,
                            const nlohmann::json& metadata) {
    const auto text = [&](const char* name) { return text_in(metadata, name).value_or(""); };
    return connection.change(
        "UPDATE job SET metadata = $2, file_url = $3, filename = $4, content_type = $5, sha256 = "
        "$6 WHERE job_id = $1",
        job_id, dump_json(metadata), text("file_url"), text("filename"), text("content_type"),
        text("sha256"));
}

Result<void> restart_deadline(Connection& connection, std::string_view job_id,
                              std::int64_t from_us) {
    return connection.change(
        "UPDATE job SET deadline_at = $2 + deadline_length_us * interval '1 us' WHERE job_id = $1",
        job_id, UnixTime{from_us});
}

std::vector<Job> in_order_of_organizations(const Rows& rows) {
    std::vector<Job> jobs = rows.each(read_job);
    std::ranges::stable_sort(jobs, {}, &Job::organization_id);
    return jobs;
}

Result<void> append_entry(Connection& connection, std::string_view job_id, const char* kind,
                          JobEntry entry, const Now& now) {
    entry.at_us = now.wall_us;
    return connection.change(
        "INSERT INTO job_entry (job_id, kind, number, body) SELECT $1, $2, count(*), $3 FROM "
        "job_entry WHERE job_id = $1 AND kind = $2 HAVING count(*) < $4",
        job_id, kind, entry_to_json(entry), static_cast<std::int64_t>(limits::kJobErrorsMax));
}

Result<void> append_events(Connection& connection, std::span<const NewEvent> events,
                           std::string_view actor, const Now& now) {
    std::vector<std::string> ids;
    std::vector<std::string> kinds;
    std::vector<std::string> details;
    for (const NewEvent& event : events) {
        ids.push_back(event.job_id);
        kinds.push_back(event.kind);
        details.push_back(event.detail);
    }
    return connection.change(
        "WITH fresh AS ("
        "    SELECT f.*, last.number AS last_number, same.number AS same_number"
        "    FROM unnest($1::text[], $2::text[], $3::text[]) AS f (job_id, kind, detail)"
        "    LEFT JOIN LATERAL (SELECT max(number) AS number FROM job_event"
        "        WHERE job_id = f.job_id) AS last ON true"
        "    LEFT JOIN LATERAL (SELECT max(number) AS number FROM job_event"
        "        WHERE job_id = f.job_id AND kind = f.kind AND actor = $4) AS same ON true"
        "), counted AS ("
        "    UPDATE job_event SET count = count + 1, at = $5 FROM fresh"
        "    WHERE job_event.job_id = fresh.job_id AND job_event.number = fresh.same_number"
        "        AND job_event.detail = fresh.detail AND (job_event.number >= $7 OR"
        "            (fresh.same_number = fresh.last_number AND job_event.at > $6))"
        "    RETURNING job_event.job_id"
        ") INSERT INTO job_event (job_id, number, at, kind, actor, detail)"
        "    SELECT job_id, 1 + coalesce(last_number, 0), $5, kind, $4, detail FROM fresh"
        "    WHERE job_id NOT IN (SELECT job_id FROM counted)",
        ids, kinds, details, actor, UnixTime{now.wall_us},
        UnixTime{now.wall_us - us_of(limits::kJobEventMerge)}, limits::kJobEventsMax);
}

Result<void> append_event(Connection& connection, const NewEvent& event, std::string_view actor,
                          const Now& now) {
    return append_events(connection, std::span(&event, 1), actor, now);
}

Result<void> record_ends(Connection& connection, std::span<const Job> jobs, std::string_view actor,
                         const Now& now) {
    if (jobs.empty()) return {};
    std::vector<NewEvent> events;
    std::vector<model::Notice> notices;
    for (const Job& job : jobs) {
        const EndKinds kinds = end_kinds(job.status);
        events.push_back(
            {job.job_id, kinds.event, job.status == JobStatus::kFailed ? job.error_message : ""});
        notices.push_back(make_notice(job, kinds.notice, now.wall_us));
    }
    EW_CHECK(append_events(connection, events, actor, now));
    return append_notices(connection, notices, now);
}

Result<void> record_end(Connection& connection, const Job& job, std::string_view actor,
                        const Now& now) {
    return record_ends(connection, std::span(&job, 1), actor, now);
}

}  // namespace export_worker::jobs::pg
