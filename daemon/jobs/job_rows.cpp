#include "daemon/jobs/job_rows.hpp"

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"
#include "base/crypto/uuid.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/shared_limits.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobEntry;
using model::JobRunner;
using model::JobStatus;
using model::Lease;
using model::OrganizationScope;
using nlohmann::json;
using sqlite::Connection;
using sqlite::Statement;

// A worker may put anything there; a notice is kept for every subscriber that reads slowly.
bool fits_notice(const json& value) {
    return value.is_number() || (value.is_string() && value.get_ref<const std::string&>().size() <=
                                                          limits::kFileUrlBytesMax);
}

constexpr int kSpecColumn = 8;
constexpr int kMetadataColumn = 15;

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
    return job;
}

std::string entry_to_json(const JobEntry& entry) {
    json out = {{"entity_key", entry.entity_key},
                {"entity_type", entry.entity_type},
                {"error_type", entry.error_type},
                {"message", entry.message},
                {"step", entry.step},
                {"at_us", entry.at_us}};
    if (!entry.details_json.empty()) out["details"] = parse_json(entry.details_json);
    return dump_json(out);
}

JobEntry entry_from_json(std::string_view text) {
    const json in = parse_json(text);
    JobEntry entry;
    if (!in.is_object()) return entry;
    entry.entity_key = in.value("entity_key", "");
    entry.entity_type = in.value("entity_type", "job");
    entry.error_type = in.value("error_type", "");
    entry.message = in.value("message", "");
    entry.step = in.value("step", "");
    entry.at_us = in.value("at_us", std::int64_t{0});
    if (in.contains("details")) entry.details_json = dump_json(in["details"]);
    return entry;
}

Result<json> parse_metadata(const std::string& text) {
    if (text.size() > limits::kJobMetadataBytesMax) {
        return fail(ErrorCode::kInvalidArgument, "metadata: expected at most " +
                                                     std::to_string(limits::kJobMetadataBytesMax) +
                                                     " bytes");
    }
    json object = parse_json(text);
    if (!object.is_object())
        return fail(ErrorCode::kInvalidArgument, "metadata: expected an object");
    if (text_in(object, "file_url").value_or("").size() > limits::kFileUrlBytesMax) {
        return fail(ErrorCode::kInvalidArgument, "metadata.file_url: expected at most " +
                                                     std::to_string(limits::kFileUrlBytesMax) +
                                                     " bytes");
    }
    return object;
}

std::string hash_of_request(json request) {
    request.erase("idempotency_key");
    return to_hex(crypto::sha256(dump_json(request)));
}

tl::unexpected<Error> not_found() {
    return fail(ErrorCode::kNotFound, "Job not found");
}
tl::unexpected<Error> lease_lost(const Lease& lease) {
    return fail(ErrorCode::kConflict, "job " + lease.job_id + ": the lease with epoch " +
                                          std::to_string(lease.epoch) + " is no longer valid");
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

Result<void> append_first_event(Connection& connection, const NewEvent& event, const Now& now) {
    return connection
        .statement(
            "INSERT INTO job_event (job_id, number, at_us, kind, actor, detail, count) "
            "VALUES (?1, 1, ?2, ?3, ?4, ?5, ?6)")
        .bind(event.job_id, now.wall_us, event.kind, event.actor, event.detail, event.count)
        .run();
}

Result<Page<model::JobEvent>> events_after(Connection& connection, const OrganizationScope& scope,
                                           std::string_view job_id, std::int64_t after) {
    std::string trace_id;
    {
        Statement known = connection.statement(
            "SELECT trace_id FROM job WHERE job_id = ?1 AND (?2 IS NULL OR organization_id = ?2)");
        EW_TRY(const bool found, known.bind(job_id, scope.organization_id()).step());
        if (!found) return not_found();
        trace_id = known.string(0);
    }
    Page<model::JobEvent> page;
    Statement rows = connection.statement(
        "SELECT number, at_us, kind, actor, detail, count FROM job_event WHERE job_id = ?1 "
        "AND number > ?2 ORDER BY number LIMIT ?3");
    rows.bind(job_id, after, static_cast<std::int64_t>(limits::kJobEventsPage) + 1);
    std::size_t bytes = 0;
    for (;;) {
        EW_TRY(page.more, rows.step());
        if (!page.more || page.items.size() == limits::kJobEventsPage) return page;
        bytes += rows.text(3).size() + rows.text(4).size();
        if (bytes > limits::kJobsPageBytesMax && !page.items.empty()) return page;
        page.items.push_back({rows.integer(0), rows.integer(1), rows.string(2), rows.string(3),
                              rows.string(4), rows.integer(5), trace_id});
    }
}

Result<void> append_event(Connection& connection, const NewEvent& event, const Now& now) {
    const std::int64_t merge_us = us_of(limits::kJobEventMerge);
    EW_CHECK(connection
                 .statement(
                     "UPDATE job_event SET count = count + ?5, at_us = ?4 WHERE job_id = ?1 AND "
                     "number = (SELECT max(number) FROM job_event WHERE job_id = ?1 AND kind = ?2 "
                     "AND actor = ?3) AND (number >= ?7 OR (at_us > ?4 - ?6 AND number = (SELECT "
                     "max(number) FROM job_event WHERE job_id = ?1))) AND detail = ?8")
                 .bind(event.job_id, event.kind, event.actor, now.wall_us, event.count, merge_us,
                       limits::kJobEventsMax, event.detail)
                 .run());
    if (connection.changes() > 0) return {};
    return connection
        .statement(
            "INSERT INTO job_event (job_id, number, at_us, kind, actor, detail, count) "
            "SELECT ?1, 1 + coalesce((SELECT max(number) FROM job_event WHERE job_id = ?1), 0), "
            "?4, ?2, ?3, ?6, ?5 WHERE EXISTS (SELECT 1 FROM job WHERE job_id = ?1)")
        .bind(event.job_id, event.kind, event.actor, now.wall_us, event.count, event.detail)
        .run();
}

Result<void> append_notice(Connection& connection, const Job& job, const char* type,
                           const Now& now) {
    const std::string event_id = crypto::make_uuid7(now.wall_us);
    const json metadata = parse_json(job.metadata_json);
    json about = {{"job_id", job.job_id},
                  {"job_type", job.job_type},
                  {"status", model::to_string(job.status)},
                  {"processed_items", job.processed_items},
                  {"total_items", job.total_items},
                  {"failed_items", job.failed_items},
                  {"warned_items", job.warned_items},
                  {"error_message", job.error_message.empty() ? json() : json(job.error_message)},
                  {"trace_id", job.trace_id.empty() ? json() : json(job.trace_id)}};
    // Never where the file lies: whoever may have it asks for a link.
    for (const char* name : {"filename", "bytes", "sha256", "rows", "format"}) {
        if (metadata.is_object() && metadata.contains(name) && fits_notice(metadata[name]))
            about[name] = metadata[name];
    }
    const json body = {{"event_id", event_id},
                       {"type", type},
                       {"organization_id", job.organization_id},
                       {"created_at", to_iso8601(now.wall_us)},
                       {"job", std::move(about)}};
    return connection
        .statement(
            "INSERT INTO notice (event_id, organization_id, job_id, type, body, at_us, "
            "due_us) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)")
        .bind(event_id, job.organization_id, job.job_id, type, dump_json(body), now.wall_us, now.us)
        .run();
}

Result<void> record_end(Connection& connection, const Job& job, std::string_view actor,
                        const Now& now) {
    const bool failed = job.status == JobStatus::kFailed;
    const bool cancelled = job.status == JobStatus::kCancelled;
    EW_CHECK(append_event(connection,
                          {job.job_id,
                           failed      ? "failed"
                           : cancelled ? "cancelled"
                                       : "published",
                           std::string(actor), failed ? job.error_message : "", 1},
                          now));
    return append_notice(connection, job,
                         failed      ? "job.failed"
                         : cancelled ? "job.cancelled"
                                     : "job.completed",
                         now);
}

Result<void> record_end_of(Connection& connection, std::string_view job_id, std::string_view actor,
                           const Now& now) {
    EW_TRY(const Job job, load_row(connection, OrganizationScope::every(), job_id));
    return record_end(connection, job, actor, now);
}

}  // namespace export_worker::jobs
