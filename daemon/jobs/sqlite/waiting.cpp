#include "daemon/jobs/sqlite/waiting.hpp"

#include "daemon/jobs/waiting_reason.hpp"

namespace export_worker::jobs {

using model::WaitingReason;
using sqlite::Statement;

Result<JobPresenter::Reason> JobPresenter::reason_of_organization(const std::string& id) {
    OrganizationStop stop{.is_held = holds_.contains(id)};
    Statement row = connection_.statement(
        "SELECT held, coalesce(stored_bytes >= stored_bytes_max, 0), running >= "
        "coalesce(running_max, ?2) FROM organization WHERE organization_id = ?1");
    EW_TRY(const bool found, row.bind(id, policy_.organization_running_max).step());
    if (found) {
        stop.is_held = stop.is_held || row.integer(0) != 0;
        stop.is_over_quota = row.integer(1) != 0;
        stop.is_at_limit = row.integer(2) != 0;
    }
    return waiting_reason(stop);
}

Result<JobPresenter::Reason> JobPresenter::reason_of(const model::Job& job) {
    const Reason own = waiting_reason(job, policy_, now_);
    if (own != WaitingReason::kNoWorkerFree) return own;
    auto known = organizations_.find(job.organization_id);
    if (known == organizations_.end()) {
        EW_TRY(const Reason reason, reason_of_organization(job.organization_id));
        known = organizations_.emplace(job.organization_id, reason).first;
    }
    return known->second ? known->second : own;
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
