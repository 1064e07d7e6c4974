#include "daemon/jobs/postgres/submissions.hpp"

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/jobs/postgres/job_quotas.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using model::Job;
using model::OrganizationScope;
using postgres::Connection;
using postgres::Rows;
using postgres::unix_time;
using postgres::UnixTime;

// The job the idempotency key already made; kConflict when it was made by another request.
Result<std::optional<Job>> same_request(Connection& connection, const NewJob& job) {
    EW_TRY(const Rows rows,
           connection.query("SELECT job_id, request_sha256 FROM job WHERE organization_id = $1 "
                            "AND idempotency_key = $2",
                            job.organization_id, job.idempotency_key));
    if (rows.empty()) return std::optional<Job>();
    if (rows.front().text(1) != job.request_sha256)
        return fail(ErrorCode::kConflict,
                    "idempotency_key: another request has used this key; expected the same "
                    "request or a new key");
    EW_TRY(Job found,
           load(connection, OrganizationScope::one(job.organization_id), rows.front().text(0)));
    return std::optional(std::move(found));
}

// The row and its first event. False: a job with the same key has come first.
Result<bool> insert_row(Connection& connection, const NewJob& submitted, const JobDraft& draft,
                        const Now& now) {
    const Job& job = draft.job;
    const nlohmann::json metadata = parse_json(job.metadata_json);
    const auto text = [&](const char* name) { return text_in(metadata, name).value_or(""); };
    const auto length_us = [](const std::optional<std::chrono::seconds>& length) {
        return length ? std::optional(us_of(*length)) : std::nullopt;
    };
    const std::optional<std::string> key =
        submitted.idempotency_key.empty() ? std::nullopt : std::optional(submitted.idempotency_key);
    EW_TRY(const Rows inserted,
           connection.query(
               "WITH made AS (INSERT INTO job (job_id, organization_id, job_type, runner, status, "
               "due_at, spec, total_items, metadata, file_url, filename, triggered_by, created_at, "
               "priority, attempts_max, deadline_at, silence_us, idempotency_key, request_sha256, "
               "total_is_estimate, deadline_length_us, trace_id, start_at, content_type, sha256) "
               "VALUES ($1, $2, $3, $4, 'pending', $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, "
               "$15, $16, $17, $18, $19, $20, $21, $22, $23, $24) ON CONFLICT (organization_id, "
               "idempotency_key) WHERE idempotency_key IS NOT NULL DO NOTHING RETURNING job_id) "
               "INSERT INTO job_event (job_id, number, at, kind, actor, detail) SELECT job_id, 1, "
               "$12, 'submitted', $25, '' FROM made",
               job.job_id, job.organization_id, job.job_type,
               job.runner == model::JobRunner::kDaemon ? "daemon" : "external",
               UnixTime{job.due_us}, job.spec_json, job.total_items, job.metadata_json,
               draft.file_url, draft.filename, job.triggered_by, UnixTime{now.wall_us},
               static_cast<int>(job.priority), job.attempts_max, unix_time(job.deadline_us),
               job.silence_us, key, submitted.request_sha256, job.total_is_estimate,
               length_us(submitted.deadline), job.trace_id, unix_time(job.start_us),
               text("content_type"), text("sha256"), submitted.submitted_by));
    return inserted.changed() > 0;
}

}  // namespace

Result<CreatedJob> insert_job(Connection& connection, const NewJob& submitted, JobDraft draft,
                              UnlimitedOrganizations& unlimited, const Now& now) {
    const bool has_key = !submitted.idempotency_key.empty();
    if (has_key) {
        EW_TRY(std::optional<Job> found, same_request(connection, submitted));
        if (found) return CreatedJob{std::move(*found), true};
    }
    EW_CHECK(check_job_quotas(connection, draft.job.organization_id, draft.job.runner, unlimited));
    if (draft.job.runner == model::JobRunner::kExternal)
        EW_CHECK(check_job_type(connection, draft.job.organization_id, draft.job.job_type));
    EW_CHECK(check_names_no_export(connection, draft.job.organization_id, draft.file_url));
    EW_TRY(const bool inserted, insert_row(connection, submitted, draft, now));
    if (inserted) return CreatedJob{std::move(draft.job), false};
    EW_TRY(std::optional<Job> first, same_request(connection, submitted));
    if (first) return CreatedJob{std::move(*first), true};
    return fail(ErrorCode::kUnavailable,
                "idempotency_key: the job that it made has gone this moment; try again");
}

}  // namespace export_worker::jobs::pg
