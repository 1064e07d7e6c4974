#include "daemon/plugins/lifecycle/bake.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

namespace export_worker::plugins {
namespace {

double failure_percent(const TrafficStats& stats) {
    if (stats.handled == 0) return 0;
    return 100.0 * static_cast<double>(stats.failed) / static_cast<double>(stats.handled);
}

std::string text_of(double value, const char* unit) {
    std::array<char, 64> out{};
    std::snprintf(out.data(), out.size(), "%.1f%s", value, unit);
    return out.data();
}

double as_ms(std::chrono::nanoseconds time) {
    return std::chrono::duration<double, std::milli>(time).count();
}

}  // namespace

std::optional<std::string> reason_to_roll_back(const BakeEvidence& evidence,
                                               const BakeBounds& bounds) {
    const TrafficStats& before = evidence.old_generation;
    const TrafficStats& now = evidence.new_generation;
    if (evidence.longest_running > bounds.stall_max) {
        return "a request has been inside it for " +
               text_of(as_ms(evidence.longest_running), " ms") + " (bound " +
               std::to_string(bounds.stall_max.count()) + " ms)";
    }
    const double percent_max = failure_percent(before) + bounds.failure_percent_max;
    TrafficStats alone = now;
    alone.failed -= std::min(now.failed, evidence.failed_alike);
    if (alone.failed >= bounds.failures_min && failure_percent(alone) > percent_max) {
        return std::to_string(alone.failed) + " of " + std::to_string(alone.handled) +
               " requests failed (bound " + text_of(percent_max, " %") + ")";
    }
    if (now.handled < bounds.latency_requests_min || before.handled < bounds.latency_requests_min)
        return std::nullopt;
    const double now_ms = as_ms(now.quantile(0.99));
    const double bound_ms = std::max(as_ms(bounds.latency_floor),
                                     bounds.latency_factor_max * as_ms(before.quantile(0.99)));
    if (now_ms <= bound_ms) return std::nullopt;
    return "99 % of requests stay within " + text_of(now_ms, " ms") + " (bound " +
           text_of(bound_ms, " ms") + ")";
}

}  // namespace export_worker::plugins
