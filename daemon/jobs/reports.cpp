#include "daemon/jobs/reports.hpp"

#include "base/json.hpp"
#include "base/json_fields.hpp"

namespace export_worker::jobs {

using model::Job;
using model::JobStatus;
using nlohmann::json;
using sqlite::Connection;

Result<void> apply_report(Connection& connection, const Job& job, const ProgressReport& report,
                          std::string_view actor, const Now& at) {
    json metadata = parse_json(job.metadata_json);
    if (!report.metadata_patch_json.empty()) {
        EW_TRY(const json patch, parse_metadata(report.metadata_patch_json));
        metadata.merge_patch(patch);
    }
    const std::string metadata_text = dump_json(metadata);
    EW_CHECK(parse_metadata(metadata_text));
    if (report.error) EW_CHECK(append_entry(connection, job.job_id, "error", *report.error, at));
    if (report.warning)
        EW_CHECK(append_entry(connection, job.job_id, "warning", *report.warning, at));
    const std::int64_t failed = job.failed_items + (report.error ? 1 : 0);
    const std::int64_t warned = job.warned_items + (report.warning ? 1 : 0);
    JobStatus status = job.status;
    if (report.mark_started && status == JobStatus::kPending) status = JobStatus::kInProgress;
    if (report.mark_failed) status = JobStatus::kFailed;
    if (report.mark_completed) {
        status = failed > 0   ? JobStatus::kPartialSuccess
                 : warned > 0 ? JobStatus::kCompletedWithWarnings
                              : JobStatus::kCompleted;
    }
    const bool started = job.started_us.has_value() || status != JobStatus::kPending;
    const bool finished = model::is_final(status);
    EW_CHECK(connection
                 .statement(
                     "UPDATE job SET status = ?2, processed_items = ?3, total_items = ?4, stage = "
                     "?5, "
                     "seen_us = ?16, "
                     "message = ?6, "
                     "metadata = ?7, file_url = ?8, filename = ?9, error_message = ?10, "
                     "content_type = coalesce(?7 ->> '$.content_type', ''), "
                     "sha256 = coalesce(?7 ->> '$.sha256', ''), "
                     "failed_items = "
                     "?11, "
                     "warned_items = ?12, started_us = iif(?13, coalesce(started_us, ?14), NULL), "
                     "completed_us = iif(?15, ?14, NULL) WHERE job_id = ?1")
                 .bind(job.job_id, model::to_string(status),
                       report.processed_items.value_or(job.processed_items),
                       report.total_items.value_or(job.total_items),
                       report.stage.value_or(job.stage), report.message.value_or(job.message),
                       metadata_text, text_in(metadata, "file_url").value_or(""),
                       text_in(metadata, "filename").value_or(""),
                       report.mark_failed.value_or(job.error_message), failed, warned,
                       started ? 1 : 0, at.wall_us, finished ? 1 : 0, at.us)
                 .run());
    if (finished) return record_end_of(connection, job.job_id, actor, at);
    if (job.status == JobStatus::kPending && status == JobStatus::kInProgress)
        return append_event(connection, {job.job_id, "started", std::string(actor), "", 1}, at);
    return {};
}

}  // namespace export_worker::jobs
