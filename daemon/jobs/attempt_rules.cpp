#include "daemon/jobs/attempt_rules.hpp"

#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobStatus;

void end_job(Job& job, JobStatus status, const Now& now) {
    job.status = status;
    job.stage.clear();
    job.completed_us = now.wall_us;
}

// Cancelled if that was asked for.
void put_back(Job& job, std::int64_t due_us, const Now& now) {
    if (job.cancel_requested) return end_job(job, JobStatus::kCancelled, now);
    job.status = JobStatus::kPending;
    job.stage.clear();
    job.due_us = due_us;
}

}  // namespace

void complete_attempt(Job& job, const Completion& completion, const Now& now) {
    end_job(job,
            completion.failed_items > 0   ? JobStatus::kPartialSuccess
            : completion.warned_items > 0 ? JobStatus::kCompletedWithWarnings
                                          : JobStatus::kCompleted,
            now);
    job.error_message.clear();
    job.processed_items = completion.processed_items;
    job.total_items = completion.processed_items + completion.failed_items;
    job.failed_items = completion.failed_items;
    job.warned_items = completion.warned_items;
}

void give_up_attempt(Job& job, std::string_view error, bool permanent, std::int64_t delay_us,
                     const Now& now) {
    job.error_message = utf8_prefix(error, limits::kJobTextBytesMax);
    const bool is_last = permanent || job.attempt >= job.attempts_max;
    if (is_last && !job.cancel_requested) return end_job(job, JobStatus::kFailed, now);
    put_back(job, now.us + delay_us, now);
}

void release_attempt(Job& job, const Now& now) {
    const bool is_forgiven = job.interruptions < limits::kJobInterruptionsMax;
    ++job.interruptions;
    if (!is_forgiven && job.attempt >= job.attempts_max)
        return end_job(job, JobStatus::kFailed, now);
    if (is_forgiven) --job.attempt;
    job.status = JobStatus::kPending;
    job.stage.clear();
    job.due_us = now.us;
}

void rescue_attempt(Job& job, const Now& now) {
    ++job.crashes;
    --job.attempt;
    const bool is_its_fault = job.crashes >= limits::kJobCrashesMax;
    if (is_its_fault) job.error_message = "the daemon died repeatedly while it ran this job";
    if (is_its_fault && !job.cancel_requested) return end_job(job, JobStatus::kFailed, now);
    put_back(job, now.us, now);
}

void cancel_job(Job& job, const Now& now) {
    job.cancel_requested = true;
    end_job(job, JobStatus::kCancelled, now);
}

bool request_cancel(Job& job, const Now& now) {
    job.cancel_requested = true;
    // Nobody runs a pending job, and nobody of ours runs an external one.
    const bool has_worker =
        job.status == JobStatus::kInProgress && job.runner == model::JobRunner::kDaemon;
    if (!has_worker) cancel_job(job, now);
    return !has_worker;
}

void retry_job(Job& job, const Now& now) {
    job.status = JobStatus::kPending;
    job.attempt = 0;
    job.crashes = 0;
    job.interruptions = 0;
    job.cancel_requested = false;
    job.held = false;
    job.due_us = now.us;
    job.completed_us.reset();
    job.error_message.clear();
    job.stage.clear();
    job.processed_items = 0;
}

}  // namespace export_worker::jobs
