// What a caller sees of a job's time: its deadline on the wall clock, and why it waits. Private to
// daemon/jobs/sqlite.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/jobs/unwritten_holds.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// For the jobs of one answer: what it has read of an organization it reads once. [one-owner]
class JobPresenter {
public:
    // All outlive the presenter.
    JobPresenter(sqlite::Connection& connection, const JobPolicy& policy,
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
    // Why none of the organization's jobs starts; nullopt: the next one may.
    [[nodiscard]] Result<Reason> reason_of_organization(const std::string& id);

    sqlite::Connection& connection_;
    const JobPolicy& policy_;
    const UnwrittenHolds& holds_;
    const Now now_;
    std::map<std::string, Reason> organizations_;
};

}  // namespace export_worker::jobs
