// Whether a new generation does as well as the one before it.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "daemon/plugins/running/traffic_stats.hpp"

namespace export_worker::plugins {

// The bounds of a bake ([plugins] in the configuration).
struct BakeBounds {
    // Failures (faults, and errors of code internal) beyond the old generation's share.
    double failure_percent_max = 1.0;
    std::uint64_t failures_min = 3;  // Fewer prove nothing.
    // 99th percentile of the time in handle(), as a multiple of the old generation's.
    double latency_factor_max = 4.0;
    std::chrono::milliseconds latency_floor{5};  // Never a reason below this.
    std::uint64_t latency_requests_min = 100;    // Fewer prove nothing, in either generation.
    // One request inside the new generation for longer than this.
    std::chrono::milliseconds stall_max{2'000};
};

// What a bake is judged by. Of the old generation: what it had answered before the swap, and on how
// many of the requests the new one failed on it has failed, too, when it was asked after it: a
// store that is away is not the new one's fault.
struct BakeEvidence {
    TrafficStats old_generation;
    std::uint64_t failed_alike = 0;
    TrafficStats new_generation;
    // The longest time a request has been inside the new generation by now.
    std::chrono::nanoseconds longest_running{0};
};

// The reason to take the new generation back, or nothing. Pure.
[[nodiscard]] std::optional<std::string> reason_to_roll_back(const BakeEvidence& evidence,
                                                             const BakeBounds& bounds);

}  // namespace export_worker::plugins
