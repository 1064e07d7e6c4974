// Which job is next, and what each organization may have of the workers. Private to
// daemon/jobs/postgres.
//
// Between organizations: start-time fair queueing (Goyal, Vin, Cheng 1996), as on SQLite. Every
// claim moves the organization's virtual time on by kTurn / weight, from where it was or from where
// the last turn of all began, whichever is later; the smallest goes next. There is no row that all
// claims change: where the last turn began is the largest virtual_start of all organizations.
//
// A claim is one statement under the lock of its organization's row, and costs the same however
// many jobs wait: it looks at one job of each priority.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

struct Claimer {
    std::string instance_id;
    std::string claim_token;  // model::Lease::claim_token.
};

struct Claim {
    std::optional<ClaimedJob> job;
    // An organization whose turn it is and that has no job due; empty: none's.
    std::string without_work;
};

// Does any organization have a job due that may start?
[[nodiscard]] Result<bool> has_turn(postgres::Connection& connection, const JobPolicy& policy,
                                    const std::vector<std::string>& held, const Now& now);
// Organizations that others work on are passed by, or waited for.
enum class Locked : std::uint8_t { kPass, kWait };
// In a transaction. `held`: UnwrittenHolds::ids(). Errors: kConflict when this instance is gone, or
// when an earlier claim with the token was committed meanwhile.
[[nodiscard]] Result<Claim> claim_next(postgres::Connection& connection, const JobPolicy& policy,
                                       const std::vector<std::string>& held, const Claimer& claimer,
                                       Locked locked, const Now& now);
// The job that an earlier claim with this token has taken.
[[nodiscard]] Result<std::optional<ClaimedJob>> find_claimed(postgres::Connection& connection,
                                                             const Claimer& claimer);
// Raises next_due of an organization to its first job; in a transaction of its own, because it
// waits for all who make jobs of it wait. True: one is due all the same.
[[nodiscard]] Result<bool> raise_next_due(postgres::Connection& connection,
                                          const std::string& organization_id, const Now& now);

}  // namespace export_worker::jobs::pg
