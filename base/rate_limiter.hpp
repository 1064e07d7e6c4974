// How often a caller may do something: so many times a second, and a burst at once.
//
// The generic cell rate algorithm (ITU-T I.371, annex A, virtual scheduling): per caller one time,
// when the next request would be due if they came evenly spaced.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <unordered_map>

#include "base/clock.hpp"

namespace export_worker {

// [one-owner]
class RateLimiter {
public:
    // `per_second` 0: no limit. `burst` at least 1: so many at once after a pause.
    RateLimiter(std::uint64_t per_second, std::uint64_t burst);

    // nullopt: go ahead. Otherwise how long until the caller may; nothing was counted. `caller`: a
    // hash that callers cannot choose. At most kRateEntriesMax are remembered; then those who have
    // been quiet are forgotten, and, when nobody has, all of them.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> take(std::uint64_t caller,
                                                               SteadyTime now);

    // The same without counting: how long until take() would say yes.
    [[nodiscard]] std::optional<std::chrono::nanoseconds> wait(std::uint64_t caller,
                                                               SteadyTime now) const;

    [[nodiscard]] std::size_t size() const { return due_.size(); }

private:
    std::chrono::nanoseconds interval_;  // Zero: no limit.
    std::chrono::nanoseconds tolerance_;
    std::unordered_map<std::uint64_t, SteadyTime> due_;
};

}  // namespace export_worker
