// Which job is next, and what each organization may have of the workers. Private to daemon/jobs.
//
// Between organizations: start-time fair queueing (Goyal, Vin, Cheng 1996). Every claim moves the
// organization's virtual time on by kTurn / weight, from where it was or from where the queue as a
// whole is, whichever is later; the smallest goes next. So one that comes back from idling gets its
// turn at once and no credit for the time it had nothing to do.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

[[nodiscard]] Result<std::optional<ClaimedJob>> claim_next(sqlite::Connection& connection,
                                                           const JobPolicy& policy,
                                                           std::string_view instance_id,
                                                           const Now& now);

// As JobStore has them.
[[nodiscard]] Result<void> set_organization(sqlite::Connection& connection,
                                            const OrganizationPolicy& policy);
[[nodiscard]] Result<Page<OrganizationState>> organization_states(sqlite::Connection& connection,
                                                                  std::string_view after);
[[nodiscard]] Result<OrganizationState> organization_state(sqlite::Connection& connection,
                                                           std::string_view id);

}  // namespace export_worker::jobs
