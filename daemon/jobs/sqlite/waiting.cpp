#include "daemon/jobs/sqlite/waiting.hpp"

namespace export_worker::jobs {

using model::JobRunner;
using model::JobStatus;
using model::WaitingReason;
using sqlite::Statement;

Result<JobPresenter::Reason> JobPresenter::reason_of_organization(const std::string& id) {
    if (holds_.contains(id)) return Reason(WaitingReason::kOrganizationHeld);
    Statement row = connection_.statement(
        "SELECT held, coalesce(stored_bytes >= stored_bytes_max, 0), running >= "
        "coalesce(running_max, ?2) FROM organization WHERE organization_id = ?1");
    EW_TRY(const bool found, row.bind(id, policy_.organization_running_max).step());
    if (!found) return Reason();
    if (row.integer(0) != 0) return Reason(WaitingReason::kOrganizationHeld);
    if (row.integer(1) != 0) return Reason(WaitingReason::kOverQuota);
    if (row.integer(2) != 0) return Reason(WaitingReason::kOrganizationAtLimit);
    return Reason();
}

Result<JobPresenter::Reason> JobPresenter::reason_of(const model::Job& job) {
    if (job.status != JobStatus::kPending) return Reason();
    if (job.runner == JobRunner::kExternal) return Reason(WaitingReason::kExternalWorker);
    if (job.held) return Reason(WaitingReason::kHeld);
    if (!policy_.runs_exports) return Reason(WaitingReason::kNoWorkers);
    if (job.due_us > now_.us)
        return Reason(job.attempt > 0 ? WaitingReason::kRetryLater : WaitingReason::kNotYetDue);
    auto known = organizations_.find(job.organization_id);
    if (known == organizations_.end()) {
        EW_TRY(const Reason reason, reason_of_organization(job.organization_id));
        known = organizations_.emplace(job.organization_id, reason).first;
    }
    return known->second ? known->second : Reason(WaitingReason::kNoWorkerFree);
}

Result<model::Job> JobPresenter::present(model::Job job) {
    EW_TRY(job.waiting_because, reason_of(job));
    if (job.deadline_us) job.deadline_us = *job.deadline_us - now_.us + now_.wall_us;
    return job;
}

Result<model::Job> JobPresenter::load(const model::OrganizationScope& scope,
                                      std::string_view job_id) {
    EW_TRY(model::Job job, jobs::load(connection_, scope, job_id));
    return present(std::move(job));
}

}  // namespace export_worker::jobs
