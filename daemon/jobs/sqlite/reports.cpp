#include "daemon/jobs/sqlite/reports.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobStatus;
using sqlite::Connection;

Result<void> write_reported(Connection& connection, const ReportedJob& reported,
                            const std::string& report_id, const Now& at) {
    const Job& job = reported.job;
    return connection
        .statement(
            "UPDATE job SET status = ?2, processed_items = ?3, total_items = ?4, stage = ?5, "
            "message = ?6, metadata = ?7, file_url = ?8, filename = ?9, error_message = ?10, "
            "content_type = coalesce(?7 ->> '$.content_type', ''), "
            "sha256 = coalesce(?7 ->> '$.sha256', ''), failed_items = ?11, warned_items = ?12, "
            "started_us = ?13, completed_us = ?14, seen_us = ?15, report_id = ?16 WHERE job_id = "
            "?1")
        .bind(job.job_id, model::to_string(job.status), job.processed_items, job.total_items,
              job.stage, job.message, job.metadata_json, reported.file_url, reported.filename,
              job.error_message, job.failed_items, job.warned_items, job.started_us,
              job.completed_us, at.us, report_id)
        .run();
}

}  // namespace

Result<bool> is_last_report(Connection& connection, std::string_view job_id,
                            std::string_view report_id) {
    sqlite::Statement row =
        connection.statement("SELECT 1 FROM job WHERE job_id = ?1 AND report_id = ?2");
    return row.bind(job_id, report_id).step();
}

Result<void> apply_report(Connection& connection, const Job& job, const ProgressReport& report,
                          std::string_view actor, const Now& at) {
    EW_TRY(const ReportedJob reported, with_report(job, report, at));
    // A report without a patch names no file.
    if (!report.metadata_patch_json.empty())
        EW_CHECK(check_names_no_export(connection, job.organization_id, reported.file_url));
    if (report.error) EW_CHECK(append_entry(connection, job.job_id, "error", *report.error, at));
    if (report.warning)
        EW_CHECK(append_entry(connection, job.job_id, "warning", *report.warning, at));
    EW_CHECK(write_reported(connection, reported, report.report_id, at));
    const JobStatus status = reported.job.status;
    if (model::is_final(status)) return record_end(connection, reported.job, actor, at);
    if (job.status == JobStatus::kPending && status == JobStatus::kInProgress)
        return append_event(connection, job.job_id, {"started", actor}, at);
    return {};
}

}  // namespace export_worker::jobs
