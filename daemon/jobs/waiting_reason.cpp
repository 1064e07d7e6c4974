#include "daemon/jobs/waiting_reason.hpp"

namespace export_worker::jobs {

using model::WaitingReason;
using Reason = std::optional<WaitingReason>;

Reason waiting_reason(const model::Job& job, const JobPolicy& policy, const Now& now) {
    if (job.status != model::JobStatus::kPending) return std::nullopt;
    if (job.runner == model::JobRunner::kExternal) return WaitingReason::kExternalWorker;
    if (job.held) return WaitingReason::kHeld;
    if (!policy.runs_exports) return WaitingReason::kNoWorkers;
    if (job.due_us > now.us)
        return job.attempt > 0 ? WaitingReason::kRetryLater : WaitingReason::kNotYetDue;
    return WaitingReason::kNoWorkerFree;
}

Reason waiting_reason(const OrganizationStop& stop) {
    if (stop.is_held) return WaitingReason::kOrganizationHeld;
    if (stop.is_over_quota) return WaitingReason::kOverQuota;
    if (stop.is_at_limit) return WaitingReason::kOrganizationAtLimit;
    return std::nullopt;
}

}  // namespace export_worker::jobs
