// A clock that moves when it is told to.
#pragma once

#include <atomic>

#include "base/clock.hpp"

namespace export_worker::testing {

class FakeClock final : public Clock {
public:
    std::int64_t unix_us() const override { return now_us_.load() + jumped_us_.load(); }
    SteadyTime steady() const override {
        return SteadyTime(std::chrono::microseconds(now_us_.load()));
    }
    void advance(std::chrono::microseconds by) { now_us_ += by.count(); }
    // As when somebody sets the wall clock.
    void jump(std::chrono::microseconds by) { jumped_us_ += by.count(); }

private:
    std::atomic<std::int64_t> jumped_us_{0};
    std::atomic<std::int64_t> now_us_{1'700'000'000'000'000};
};

}  // namespace export_worker::testing
