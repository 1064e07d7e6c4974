#include "base/rate_limiter.hpp"

#include <algorithm>

#include "base/limits.hpp"

namespace export_worker {

using std::chrono::nanoseconds;

RateLimiter::RateLimiter(std::uint64_t per_second, std::uint64_t burst)
    : interval_(per_second == 0 ? 0 : 1'000'000'000 / static_cast<std::int64_t>(per_second)),
      tolerance_(interval_ * static_cast<std::int64_t>(std::max<std::uint64_t>(burst, 1) - 1)) {}

std::optional<nanoseconds> RateLimiter::take(std::uint64_t caller, SteadyTime now) {
    if (interval_ == nanoseconds(0)) return std::nullopt;
    if (due_.size() >= limits::kRateEntriesMax && !due_.contains(caller)) {
        std::erase_if(due_, [&](const auto& entry) { return entry.second <= now; });
        if (due_.size() >= limits::kRateEntriesMax) due_.clear();
    }
    if (const auto left = wait(caller, now)) return left;
    SteadyTime& due = due_[caller];
    due = std::max(due, now) + interval_;
    return std::nullopt;
}

std::optional<nanoseconds> RateLimiter::wait(std::uint64_t caller, SteadyTime now) const {
    const auto found = due_.find(caller);
    if (found == due_.end() || now >= found->second - tolerance_) return std::nullopt;
    return std::chrono::duration_cast<nanoseconds>(found->second - tolerance_ - now);
}

}  // namespace export_worker
