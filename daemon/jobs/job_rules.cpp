#include "daemon/jobs/job_rules.hpp"

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/jobs/job_metadata.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobRunner;
using model::JobStatus;
using nlohmann::json;

Result<void> check_unfinished(const Job& job) {
    if (!model::is_final(job.status)) return {};
    return fail(ErrorCode::kConflict,
                "The job is already " + std::string(model::to_string(job.status)));
}

Result<void> check_runs_here(const Job& job) {
    if (job.runner == JobRunner::kDaemon) return {};
    return fail(ErrorCode::kConflict,
                "Only an export that the daemon runs can be held or retried; this job is a "
                "worker's");
}

JobStatus status_after(const Job& job, const ProgressReport& report) {
    if (report.mark_completed) {
        return job.failed_items > 0   ? JobStatus::kPartialSuccess
               : job.warned_items > 0 ? JobStatus::kCompletedWithWarnings
                                      : JobStatus::kCompleted;
    }
    if (report.mark_failed) return JobStatus::kFailed;
    if (report.mark_started && job.status == JobStatus::kPending) return JobStatus::kInProgress;
    return job.status;
}

}  // namespace

Result<void> check_cancel(const Job& job) {
    return check_unfinished(job);
}

Result<void> check_retry(const Job& job) {
    EW_CHECK(check_runs_here(job));
    if (job.status == JobStatus::kFailed || job.status == JobStatus::kCancelled) return {};
    return fail(ErrorCode::kConflict,
                "Only a failed or cancelled export can be retried; this job is " +
                    std::string(model::to_string(job.status)));
}

Result<void> check_hold(const Job& job, bool held) {
    EW_CHECK(check_runs_here(job));
    if (job.status == JobStatus::kPending) return {};
    return fail(ErrorCode::kConflict,
                "Only a pending export can be " + std::string(held ? "held" : "released") +
                    "; this job is " + std::string(model::to_string(job.status)));
}

Result<void> check_report(const ProgressReport& report) {
    if (!report.mark_completed || !report.mark_failed) return {};
    return fail(ErrorCode::kInvalidArgument,
                "mark_completed and mark_failed: expected at most one of them, found both");
}

Result<void> check_reportable(const Job& job, const Now& now) {
    if (job.runner != JobRunner::kExternal)
        return fail(ErrorCode::kConflict, "The job is run by the daemon itself");
    EW_CHECK(check_unfinished(job));
    if (!job.deadline_us || *job.deadline_us > now.us) return {};
    return fail(ErrorCode::kConflict, "The job's deadline has passed; it fails");
}

Result<ReportedJob> with_report(Job job, const ProgressReport& report, const Now& now) {
    EW_TRY(const json metadata, merge_metadata(job.metadata_json, report.metadata_patch_json));
    job.metadata_json = dump_json(metadata);
    if (report.error) ++job.failed_items;
    if (report.warning) ++job.warned_items;
    job.status = status_after(job, report);
    job.processed_items = report.processed_items.value_or(job.processed_items);
    job.total_items = report.total_items.value_or(job.total_items);
    job.stage = report.stage.value_or(job.stage);
    job.message = report.message.value_or(job.message);
    job.error_message = report.mark_failed.value_or(job.error_message);
    if (!job.started_us && job.status != JobStatus::kPending) job.started_us = now.wall_us;
    if (model::is_final(job.status)) job.completed_us = now.wall_us;
    return ReportedJob{std::move(job), text_in(metadata, "file_url").value_or(""),
                       text_in(metadata, "filename").value_or("")};
}

tl::unexpected<Error> too_many_job_types() {
    return fail(ErrorCode::kInvalidArgument,
                "job_type: expected one of the " + std::to_string(limits::kJobTypesMax) +
                    " types of jobs that the organization has, found another. Take one of those; "
                    "a type goes with the last job of it (job_retention_s)");
}

tl::unexpected<Error> names_export_of(std::string_view job_id) {
    return fail(ErrorCode::kInvalidArgument,
                "metadata.file_url: expected a file of the worker's own, found the one of export " +
                    std::string(job_id) + "; ask for links of that job");
}

tl::unexpected<Error> not_found() {
    return fail(ErrorCode::kNotFound, "Job not found");
}

tl::unexpected<Error> lease_lost(const model::Lease& lease) {
    return fail(ErrorCode::kConflict, "job " + lease.job_id + ": the lease with epoch " +
                                          std::to_string(lease.epoch) + " is no longer valid");
}

}  // namespace export_worker::jobs
