// Why a pending job does not run. The same for every database.
#pragma once

#include <optional>

#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// What keeps all jobs of an organization waiting.
struct OrganizationStop {
    bool is_held = false;
    bool is_over_quota = false;
    bool is_at_limit = false;
};

// What keeps `job` waiting by itself; kNoWorkerFree when only its organization or a lack of free
// workers can; nullopt: it is not pending. `due_us` of the job is on the axis of `now.us`.
[[nodiscard]] std::optional<model::WaitingReason> waiting_reason(const model::Job& job,
                                                                 const JobPolicy& policy,
                                                                 const Now& now);
// nullopt: the next of its jobs may start.
[[nodiscard]] std::optional<model::WaitingReason> waiting_reason(const OrganizationStop& stop);

}  // namespace export_worker::jobs
