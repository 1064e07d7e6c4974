// Requests a second that an organization may send. In memory only.
#pragma once

#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"

namespace export_worker::jobs {

// kQuotaExceeded, naming the organization; `what` it may and has, and what to do.
[[nodiscard]] tl::unexpected<Error> quota_exceeded(std::string_view organization_id,
                                                   const std::string& what);

// A bucket for each organization with a quota, which holds the requests of one second.
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
