// Why a job waits, as a caller sees it. Private to daemon/jobs/postgres.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"
#include "daemon/jobs/unwritten_holds.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// For the jobs of one answer: what it has read of an organization it reads once. [one-owner]
class JobPresenter {
public:
    // All outlive the presenter.
    JobPresenter(postgres::Connection& connection, const JobPolicy& policy,
                 const UnwrittenHolds& holds, const Now& now)
        : connection_(connection), policy_(policy), holds_(holds), now_(now) {}

    // `job` as read_job() gives it.
    [[nodiscard]] Result<model::Job> present(model::Job job);
    // load() and that.
    [[nodiscard]] Result<model::Job> load(const model::OrganizationScope& scope,
                                          std::string_view job_id);

private:
    using Reason = std::optional<model::WaitingReason>;
    [[nodiscard]] Result<Reason> reason_of(const model::Job& job);
    [[nodiscard]] Result<Reason> reason_of_organization(const std::string& id);

    postgres::Connection& connection_;
    const JobPolicy& policy_;
    const UnwrittenHolds& holds_;
    const Now now_;
    std::map<std::string, Reason> organizations_;
};

}  // namespace export_worker::jobs::pg
