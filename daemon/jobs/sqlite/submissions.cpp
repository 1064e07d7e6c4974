#include "daemon/jobs/sqlite/submissions.hpp"

#include "daemon/jobs/sqlite/job_quotas.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::OrganizationScope;
using sqlite::Connection;
using sqlite::Statement;

// The job the idempotency key already made; kConflict when it was made by another request.
Result<std::optional<std::string>> same_request(Connection& connection, const NewJob& job) {
    Statement row = connection.statement(
        "SELECT job_id, request_sha256 FROM job WHERE organization_id = ?1 AND idempotency_key "
        "= ?2");
    EW_TRY(const bool found, row.bind(job.organization_id, job.idempotency_key).step());
    if (!found) return std::optional<std::string>();
    if (row.text(1) != job.request_sha256)
        return fail(ErrorCode::kConflict,
                    "idempotency_key: another request has used this key; expected the same "
                    "request or a new key");
    return std::optional(row.string(0));
}

// The triggers count what becomes of a job, but not its arrival: with a trigger on the insertion
// SQLite would keep a copy of every page that it touches.
Result<void> count_arrival(Connection& connection, const Job& job) {
    EW_CHECK(connection
                 .statement("INSERT INTO job_count VALUES (?1, 'pending', ?2, 1) ON CONFLICT DO "
                            "UPDATE SET jobs = jobs + 1")
                 .bind(job.organization_id, job.job_type)
                 .run());
    EW_CHECK(connection
                 .statement("INSERT INTO job_count_of_all VALUES ('pending', ?1, 1) ON CONFLICT DO "
                            "UPDATE SET jobs = jobs + 1")
                 .bind(job.job_type)
                 .run());
    if (job.runner != model::JobRunner::kDaemon) return {};
    return connection
        .statement(
            "INSERT INTO organization (organization_id, pending, next_due_us) VALUES (?1, "
            "1, ?2) ON CONFLICT DO UPDATE SET pending = pending + 1, next_due_us = "
            "min(next_due_us, ?2)")
        .bind(job.organization_id, job.due_us)
        .run();
}

}  // namespace

Result<CreatedJob> insert_job(Connection& connection, const NewJob& submitted, JobDraft draft,
                              const Now& now) {
    const std::optional<std::string> key =
        submitted.idempotency_key.empty() ? std::nullopt : std::optional(submitted.idempotency_key);
    if (key) {
        EW_TRY(const std::optional<std::string> known, same_request(connection, submitted));
        if (known) {
            EW_TRY(Job found,
                   load(connection, OrganizationScope::one(submitted.organization_id), *known));
            return CreatedJob{std::move(found), true};
        }
    }
    const Job& job = draft.job;
    EW_CHECK(check_job_quotas(connection, job.organization_id, job.runner));
    if (job.runner == model::JobRunner::kExternal)
        EW_CHECK(check_job_type(connection, job.organization_id, job.job_type));
    EW_CHECK(check_names_no_export(connection, job.organization_id, draft.file_url));
    const auto length_us = [](const std::optional<std::chrono::seconds>& length) {
        return length ? std::optional(us_of(*length)) : std::nullopt;
    };
    EW_CHECK(
        connection
            .statement("INSERT INTO job (job_id, organization_id, job_type, runner, status, "
                       "due_us, spec, total_items, metadata, file_url, filename, triggered_by, "
                       "created_us, priority, attempts_max, deadline_us, silence_us, "
                       "idempotency_key, request_sha256, total_is_estimate, deadline_length_us, "
                       "trace_id, start_us, content_type, sha256) "
                       "VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                       "?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, ?21, ?22, "
                       "coalesce(?8 ->> '$.content_type', ''), coalesce(?8 ->> '$.sha256', ''))")
            .bind(job.job_id, job.organization_id, job.job_type,
                  job.runner == model::JobRunner::kDaemon ? "daemon" : "external", job.due_us,
                  job.spec_json, job.total_items, job.metadata_json, draft.file_url, draft.filename,
                  job.triggered_by, job.created_us, static_cast<int>(job.priority),
                  job.attempts_max, job.deadline_us, job.silence_us, key, submitted.request_sha256,
                  job.total_is_estimate ? 1 : 0, length_us(submitted.deadline), job.trace_id,
                  job.start_us)
            .run());
    EW_CHECK(count_arrival(connection, job));
    EW_CHECK(
        append_first_event(connection, job.job_id, {"submitted", submitted.submitted_by}, now));
    return CreatedJob{std::move(draft.job), false};
}

}  // namespace export_worker::jobs
