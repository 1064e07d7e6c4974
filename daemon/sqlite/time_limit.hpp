// How long what a connection does now may take, whichever thread decides so. Nothing here survives
// a crash.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>

#include "base/clock.hpp"

namespace export_worker::sqlite {

// begin(), shorten() and end() exclude each other (their caller's mutex); is_over() is
// [any-thread].
// Real time, whatever clock the program injects elsewhere: what is bounded is work.
class TimeLimit {
public:
    // Zero: no bound, until shorten().
    void begin(std::chrono::milliseconds time_max) {
        began_ = std::chrono::steady_clock::now();
        end_ns_.store(time_max.count() == 0 ? kNever : ns(began_ + time_max));
        is_running_ = true;
    }
    // Never later than `time_max` after begin(). Nothing happens after end().
    void shorten(std::chrono::milliseconds time_max) {
        const std::int64_t end_ns = ns(began_ + time_max);
        if (is_running_ && end_ns < end_ns_.load()) end_ns_.store(end_ns);
    }
    void end() {
        end_ns_.store(kNever);
        is_running_ = false;
    }
    [[nodiscard]] bool is_over() const {
        const std::int64_t end_ns = end_ns_.load(std::memory_order_relaxed);
        return end_ns != kNever && ns(std::chrono::steady_clock::now()) >= end_ns;
    }

private:
    static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
    static std::int64_t ns(SteadyTime time) { return time.time_since_epoch().count(); }

    SteadyTime began_{};
    bool is_running_ = false;
    std::atomic<std::int64_t> end_ns_{kNever};
};

}  // namespace export_worker::sqlite
