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

#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_draft.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// Organizations whose hold could not be written: held until the process ends. [any-thread]
class UnwrittenHolds {
public:
    void set(const std::string& organization_id, bool held);
    [[nodiscard]] bool contains(const std::string& organization_id) const;
    [[nodiscard]] std::string json() const;  // An array.

private:
    mutable std::mutex mutex_;
    std::set<std::string> ids_;  // Of A-Z a-z 0-9 . _ -. Guarded by mutex_.
};

struct Claimer {
    std::string instance_id;
    std::string claim_token;  // ClaimedJob::claim_token.
};

struct Claim {
    std::optional<ClaimedJob> job;
    std::size_t failed = 0;  // Jobs past their deadline, on the way.
    bool again = false;  // The search goes on in another transaction: this one has done its share.
};

// As JobQueue::claim(). Fails jobs past their deadline on its way, at most kHousekeepingBatch.
// `held_json`: UnwrittenHolds::json().
[[nodiscard]] Result<Claim> claim_next(sqlite::Connection& connection, const JobPolicy& policy,
                                       std::string_view held_json, const Claimer& claimer,
                                       const Now& now);
// The job that an earlier claim with this token has taken.
[[nodiscard]] Result<std::optional<ClaimedJob>> find_claimed(sqlite::Connection& connection,
                                                             const Claimer& claimer);

}  // namespace export_worker::jobs
