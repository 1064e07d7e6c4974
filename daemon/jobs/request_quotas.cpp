#include "daemon/jobs/request_quotas.hpp"

#include <algorithm>
#include <chrono>

namespace export_worker::jobs {

tl::unexpected<Error> quota_exceeded(std::string_view organization_id, const std::string& what) {
    return fail(ErrorCode::kQuotaExceeded,
                "quota: organization " + std::string(organization_id) + " " + what);
}

void RequestQuotas::set(std::string_view organization_id, std::optional<int> per_second_max) {
    const std::lock_guard lock(mutex_);
    if (!per_second_max) {
        buckets_.erase(std::string(organization_id));
        return;
    }
    buckets_[std::string(organization_id)] = {*per_second_max, static_cast<double>(*per_second_max),
                                              clock_.steady()};
}

Result<void> RequestQuotas::admit(std::string_view organization_id) {
    const std::lock_guard lock(mutex_);
    if (buckets_.empty()) return {};
    const auto found = buckets_.find(organization_id);
    if (found == buckets_.end()) return {};
    Bucket& bucket = found->second;
    const SteadyTime now = clock_.steady();
    const double seconds = std::chrono::duration<double>(now - bucket.filled).count();
    const double full = bucket.per_second_max;
    bucket.tokens = std::min(full, bucket.tokens + seconds * full);
    bucket.filled = now;
    if (bucket.tokens < 1)
        return quota_exceeded(organization_id, "may send " + std::to_string(bucket.per_second_max) +
                                                   " requests a second; send fewer");
    bucket.tokens -= 1;
    return {};
}

}  // namespace export_worker::jobs
