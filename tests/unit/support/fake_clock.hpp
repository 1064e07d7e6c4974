// A clock that moves when it is told to.
#pragma once

#include <algorithm>
#include <atomic>
#include <functional>
#include <utility>

#include "base/clock.hpp"

namespace export_worker::testing {

class FakeClock : public Clock {
public:
    std::int64_t unix_us() const override { return now_us_.load() + jumped_us_.load(); }
    SteadyTime steady() const override {
        return SteadyTime(std::chrono::microseconds(now_us_.load()));
    }
    // A thread that waits for a time of this clock looks at it every millisecond.
    std::chrono::milliseconds block_for(std::chrono::milliseconds wanted) const override {
        return std::min(wanted, std::chrono::milliseconds(1));
    }
    void advance(std::chrono::microseconds by) { now_us_ += by.count(); }
    // As when an administrator sets the wall clock.
    void jump(std::chrono::microseconds by) { jumped_us_ += by.count(); }

protected:
    mutable std::atomic<std::int64_t> now_us_{1'700'000'000'000'000};

private:
    std::atomic<std::int64_t> jumped_us_{0};
};

// A clock that tells a database with a clock of its own how late it is.
class DatabaseClock : public FakeClock {
public:
    void advance(std::chrono::microseconds by) {
        FakeClock::advance(by);
        if (moved_) moved_(now_us_.load());
    }
    // `moved(microseconds since 1970)` is called after each advance().
    void tell(std::function<void(std::int64_t)> moved) { moved_ = std::move(moved); }

private:
    std::function<void(std::int64_t)> moved_;
};

// A clock on which every wait is over at once: the wait moves the clock instead.
class SkippingClock final : public FakeClock {
public:
    std::chrono::milliseconds block_for(std::chrono::milliseconds wanted) const override {
        now_us_ += std::chrono::microseconds(wanted).count();
        return std::chrono::milliseconds(0);
    }
};

}  // namespace export_worker::testing
