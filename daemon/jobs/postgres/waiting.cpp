#include "daemon/jobs/postgres/waiting.hpp"

#include "daemon/jobs/waiting_reason.hpp"

namespace export_worker::jobs::pg {

using model::WaitingReason;
using postgres::Rows;

Result<JobPresenter::Reason> JobPresenter::reason_of_organization(const std::string& id) {
    OrganizationStop stop{.is_held = holds_.contains(id)};
    EW_TRY(const Rows rows,
           connection_.query("SELECT held, coalesce(stored_bytes >= stored_bytes_max, false), "
                             "running >= coalesce(running_max, $2) FROM organization WHERE "
                             "organization_id = $1",
                             id, policy_.organization_running_max));
    if (!rows.empty()) {
        stop.is_held = stop.is_held || rows.front().boolean(0);
        stop.is_over_quota = rows.front().boolean(1);
        stop.is_at_limit = rows.front().boolean(2);
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
    return job;
}

Result<model::Job> JobPresenter::load(const model::OrganizationScope& scope,
                                      std::string_view job_id) {
    EW_TRY(model::Job job, pg::load(connection_, scope, job_id));
    return present(std::move(job));
}

}  // namespace export_worker::jobs::pg
