// How long things took, counted in buckets: a few relaxed atomic additions, no lock.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>

namespace export_worker::metrics {

// Upper bounds in seconds, from the mint path (tens of microseconds) to a request's deadline.
inline constexpr std::array<double, 16> kSecondsBounds{
    0.00005, 0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01,
    0.025,   0.05,   0.1,     0.25,   0.5,   1,      2.5,   10};

// The same for work that takes from a moment to a night.
inline constexpr std::array<double, 14> kLongSecondsBounds{
    0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1'800, 7'200, 21'600};

// [any-thread]. A reader may see an observation in one of its parts before the other.
class Histogram {
public:
    // `bounds`: ascending, in seconds, no more than kSecondsBounds has; outlive the histogram.
    explicit Histogram(std::span<const double> bounds = kSecondsBounds) : bounds_(bounds) {}

    void observe(std::chrono::nanoseconds time) {
        const double seconds = static_cast<double>(time.count()) / 1e9;
        std::size_t bucket = 0;
        while (bucket < bounds_.size() && seconds > bounds_[bucket]) ++bucket;
        buckets_[bucket].fetch_add(1, std::memory_order_relaxed);
        sum_ns_.fetch_add(time.count(), std::memory_order_relaxed);
    }

    [[nodiscard]] std::span<const double> bounds() const { return bounds_; }
    // Not cumulative; the last one is everything above the bounds.
    [[nodiscard]] std::uint64_t bucket(std::size_t index) const {
        return buckets_[index].load(std::memory_order_relaxed);
    }
    [[nodiscard]] double sum_seconds() const {
        return static_cast<double>(sum_ns_.load(std::memory_order_relaxed)) / 1e9;
    }

private:
    const std::span<const double> bounds_;
    std::array<std::atomic<std::uint64_t>, kSecondsBounds.size() + 1> buckets_{};
    std::atomic<std::int64_t> sum_ns_{0};
};

}  // namespace export_worker::metrics
