#include "daemon/plugins/running/traffic_stats.hpp"

#include <algorithm>
#include <bit>

namespace export_worker::plugins {
namespace {

constexpr unsigned kSmallestPower = 6;  // 64 ns
constexpr unsigned kParts = 8;

std::size_t bucket_of(std::uint64_t ns) {
    if (ns < (1U << kSmallestPower)) return 0;
    const auto power = static_cast<unsigned>(std::bit_width(ns)) - 1;
    const auto part = static_cast<unsigned>((ns >> (power - 3)) & (kParts - 1));
    return std::min<std::size_t>((power - kSmallestPower) * kParts + part, kLatencyBuckets - 1);
}

std::uint64_t upper_bound_of(std::size_t bucket) {
    const std::size_t power = bucket / kParts + kSmallestPower;
    return (std::uint64_t{kParts + 1} + bucket % kParts) << (power - 3);
}

}  // namespace

std::chrono::nanoseconds TrafficStats::quantile(double fraction) const {
    std::uint64_t total = 0;
    for (const std::uint64_t count : latency) total += count;
    const auto wanted = static_cast<std::uint64_t>(fraction * static_cast<double>(total));
    std::uint64_t seen = 0;
    for (std::size_t bucket = 0; bucket < latency.size(); ++bucket) {
        seen += latency[bucket];
        if (latency[bucket] > 0 && seen >= std::max<std::uint64_t>(wanted, 1))
            return std::chrono::nanoseconds(upper_bound_of(bucket));
    }
    return {};
}

void TrafficCounters::count(std::size_t thread_number, std::chrono::nanoseconds took, bool failed) {
    Shard& shard = shards_[thread_number % kShards];
    shard.handled.fetch_add(1, std::memory_order_relaxed);
    if (failed) shard.failed.fetch_add(1, std::memory_order_relaxed);
    const auto ns = static_cast<std::uint64_t>(std::max<std::int64_t>(took.count(), 0));
    shard.latency[bucket_of(ns)].fetch_add(1, std::memory_order_relaxed);
}

TrafficStats TrafficCounters::read() const {
    TrafficStats out;
    for (const Shard& shard : shards_) {
        out.handled += shard.handled.load(std::memory_order_relaxed);
        out.failed += shard.failed.load(std::memory_order_relaxed);
        for (std::size_t bucket = 0; bucket < kLatencyBuckets; ++bucket)
            out.latency[bucket] += shard.latency[bucket].load(std::memory_order_relaxed);
    }
    return out;
}

std::uint64_t TrafficCounters::handled() const {
    std::uint64_t out = 0;
    for (const Shard& shard : shards_) out += shard.handled.load(std::memory_order_relaxed);
    return out;
}

}  // namespace export_worker::plugins
