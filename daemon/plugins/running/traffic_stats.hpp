// What one generation has answered, and how fast: the evidence a bake is judged by.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>

namespace export_worker::plugins {

// Durations fall into buckets of an eighth of a power of two, from 64 ns to 68 s: a quantile is at
// most one eighth too high.
inline constexpr std::size_t kLatencyBuckets = 240;

// A plain copy of the counts at one moment.
struct TrafficStats {
    std::uint64_t handled = 0;
    std::uint64_t failed = 0;  // Faults, and errors of code internal.
    std::array<std::uint64_t, kLatencyBuckets> latency{};

    // The duration that `fraction` (0 to 1) of the requests stayed within; zero without requests.
    [[nodiscard]] std::chrono::nanoseconds quantile(double fraction) const;
};

// Counted by many threads at once; shards keep them off each other's cache lines. [any-thread]
class TrafficCounters {
public:
    void count(std::size_t thread_number, std::chrono::nanoseconds took, bool failed);
    [[nodiscard]] TrafficStats read() const;
    // Cheap enough for every look at a list.
    [[nodiscard]] std::uint64_t handled() const;

private:
    static constexpr std::size_t kShards = 8;
    struct alignas(64) Shard {
        std::atomic<std::uint64_t> handled{0};
        std::atomic<std::uint64_t> failed{0};
        std::array<std::atomic<std::uint64_t>, kLatencyBuckets> latency{};
    };
    std::array<Shard, kShards> shards_;
};

}  // namespace export_worker::plugins
