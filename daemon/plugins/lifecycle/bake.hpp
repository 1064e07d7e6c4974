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

// The reason to take the new generation back, or nothing. `longest_running` is the longest time a
// request has been inside it by now. Pure.
[[nodiscard]] std::optional<std::string> reason_to_roll_back(
    const TrafficStats& old_generation, const TrafficStats& new_generation,
    std::chrono::nanoseconds longest_running, const BakeBounds& bounds);

}  // namespace export_worker::plugins
