#include "daemon/jobs/unattended_jobs.hpp"

#include <algorithm>
#include <utility>

#include "base/log.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {

Result<std::size_t> UnattendedJobs::release(JobQueue& queue, std::span<const model::Lease> running,
                                            SteadyTime now) {
    EW_TRY(const std::vector<model::Lease> owned, queue.owned_jobs());
    std::map<std::string, SteadyTime> since;
    std::size_t released = 0;
    for (const model::Lease& lease : owned) {
        if (std::ranges::find(running, lease) != running.end()) continue;
        const auto known = since_.find(lease.claim_token);
        const SteadyTime first = known == since_.end() ? now : known->second;
        since.emplace(lease.claim_token, first);
        if (now - first < limits::kUnattendedMax) continue;
        const auto done = queue.release(lease);
        // It has ended or was claimed anew meanwhile.
        if (!done && done.error().code == ErrorCode::kConflict) continue;
        EW_CHECK(done);
        log_warn("job {}: put back: the answer of the claim that took it was lost", lease.job_id);
        ++released;
    }
    since_ = std::move(since);
    return released;
}

}  // namespace export_worker::jobs
