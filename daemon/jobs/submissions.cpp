#include "daemon/jobs/submissions.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace export_worker::jobs {
namespace {

using model::Job;
using model::OrganizationScope;
using nlohmann::json;
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

}  // namespace

Result<CreatedJob> create_job(Connection& connection, const NewJob& job, const std::string& job_id,
                              const JobPolicy& policy, const Now& now) {
    EW_TRY(const json metadata, parse_metadata(job.metadata_json));
    const std::optional<std::string> key =
        job.idempotency_key.empty() ? std::nullopt : std::optional(job.idempotency_key);
    if (key) {
        EW_TRY(const std::optional<std::string> known, same_request(connection, job));
        if (known) {
            EW_TRY(Job found,
                   load(connection, OrganizationScope::one(job.organization_id), *known));
            return CreatedJob{std::move(found), true};
        }
    }
    // As far from now on the steady clock as it is on the wall.
    const std::int64_t due_us =
        job.start_unix_us ? now.us + std::max<std::int64_t>(0, *job.start_unix_us - now.wall_us)
                          : now.us;
    const auto after = [&](const std::optional<std::chrono::seconds>& length,
                           std::int64_t from) -> std::optional<std::int64_t> {
        return length ? std::optional(from + us_of(*length)) : std::nullopt;
    };
    EW_CHECK(
        connection
            .statement("INSERT INTO job (job_id, organization_id, job_type, runner, status, "
                       "due_us, spec, total_items, metadata, file_url, filename, triggered_by, "
                       "created_us, priority, attempts_max, deadline_us, silence_us, "
                       "idempotency_key, request_sha256, total_is_estimate) "
                       "VALUES (?1, ?2, ?3, ?4, 'pending', ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, "
                       "?13, ?14, ?15, ?16, ?17, ?18, ?19)")
            .bind(job_id, job.organization_id, job.job_type,
                  job.runner == model::JobRunner::kDaemon ? "daemon" : "external", due_us,
                  job.spec_json, job.total_items, job.metadata_json,
                  text_member(metadata, "file_url"), text_member(metadata, "filename"),
                  job.triggered_by, now.wall_us, static_cast<int>(job.priority),
                  job.attempts_max > 0 ? job.attempts_max : policy.attempts_max,
                  after(job.deadline, now.us), after(job.silence_limit, 0), key, job.request_sha256,
                  job.total_is_estimate ? 1 : 0)
            .run());
    EW_CHECK(append_first_event(connection, {job_id, "submitted", job.triggered_by, "", 1}, now));
    EW_TRY(Job created, load_row(connection, OrganizationScope::one(job.organization_id), job_id));
    return CreatedJob{std::move(created), false};
}

}  // namespace export_worker::jobs
