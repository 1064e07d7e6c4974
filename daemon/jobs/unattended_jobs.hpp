// The jobs that a daemon owns and that none of its attempts runs: claims whose answers were lost
// and were not asked for again. They are put back after kUnattendedMax.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// [one-owner]
class UnattendedJobs {
public:
    // To be called about once a second, with the leases of all attempts of the process. Releases
    // what was in no call's `running` for kUnattendedMax; returns how many. Errors: those of
    // `queue`.
    [[nodiscard]] Result<std::size_t> release(JobQueue& queue,
                                              std::span<const model::Lease> running,
                                              SteadyTime now);

private:
    std::map<std::string, SteadyTime> since_;  // By claim token.
};

}  // namespace export_worker::jobs
