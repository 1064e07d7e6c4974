// What an organization may use, and the refusals. Private to daemon/jobs.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/model/job.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// May the organization have one more unfinished job? Errors: kQuotaExceeded, naming the quota.
[[nodiscard]] Result<void> check_job_quotas(sqlite::Connection& connection,
                                            std::string_view organization_id,
                                            model::JobRunner runner);

// Requests a second: a bucket for each organization with a quota, which holds those of one second.
// [any-thread]
class RequestQuotas {
public:
    // `clock` outlives the quotas.
    explicit RequestQuotas(const Clock& clock) : clock_(clock) {}
    void set(std::string_view organization_id, std::optional<int> per_second_max);
    // Errors: kQuotaExceeded.
    [[nodiscard]] Result<void> admit(std::string_view organization_id);

private:
    struct Bucket {
        int per_second_max = 0;
        double tokens = 0;
        SteadyTime filled{};
    };
    const Clock& clock_;
    std::mutex mutex_;
    std::map<std::string, Bucket, std::less<>> buckets_;  // Guarded by mutex_.
};

}  // namespace export_worker::jobs
