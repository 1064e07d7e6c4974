// Which job is next, and what each organization may have of the workers. Private to
// daemon/jobs/sqlite.
//
// Between organizations: start-time fair queueing (Goyal, Vin, Cheng 1996). Every claim moves the
// organization's virtual time on by kTurn / weight, from where it was or from where the queue as a
// whole is, whichever is later; the smallest goes next. So one that comes back from idling gets its
// turn at once and no credit for the time it had nothing to do.
//
// A claim costs the same however many jobs wait: `next_due_us` of an organization says before when
// none of its jobs is due. Whatever makes a job wait lowers it; a claim that finds none due raises
// it.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

struct Claimer {
    std::string instance_id;
    std::string claim_token;  // model::Lease::claim_token.
};

struct Claim {
    std::optional<ClaimedJob> job;
    std::size_t failed = 0;  // Jobs past their deadline, on the way.
    bool again = false;  // The search goes on in another transaction: this one has done its share.
};

// As JobQueue::claim(). Fails jobs past their deadline on its way, at most kHousekeepingBatch.
// `held_json`: an array of the organizations in UnwrittenHolds.
[[nodiscard]] Result<Claim> claim_next(sqlite::Connection& connection, const JobPolicy& policy,
                                       std::string_view held_json, const Claimer& claimer,
                                       const Now& now);
// The job that an earlier claim with this token has taken.
[[nodiscard]] Result<std::optional<ClaimedJob>> find_claimed(sqlite::Connection& connection,
                                                             const Claimer& claimer);

}  // namespace export_worker::jobs
