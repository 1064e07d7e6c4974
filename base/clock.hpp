// Time, as something that can be handed in. Wall time is for people and signatures; intervals,
// leases and deadlines use the steady clock, which a clock step does not move.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker {

using SteadyTime = std::chrono::steady_clock::time_point;

class Clock {
public:
    virtual ~Clock() = default;
    // Microseconds since 1970-01-01T00:00:00Z. [any-thread]
    [[nodiscard]] virtual std::int64_t unix_us() const = 0;
    // [any-thread]
    [[nodiscard]] virtual SteadyTime steady() const = 0;
    // How long a thread may block that wants to read this clock again after `wanted`. The machine's
    // clock moves on its own: `wanted`. A clock that a test moves wakes no thread, so it answers
    // with less. [any-thread]
    [[nodiscard]] virtual std::chrono::milliseconds block_for(
        std::chrono::milliseconds wanted) const {
        return wanted;
    }
};

// The machine's clocks. Lives for the whole program.
[[nodiscard]] const Clock& system_clock();

// "2026-05-24T00:00:00.123456Z"; the fraction is left out when it is zero.
[[nodiscard]] std::string to_iso8601(std::int64_t unix_us);
// Accepts exactly YYYY-MM-DDThh:mm:ssZ, from 1970 on. Errors: kInvalidArgument.
[[nodiscard]] Result<std::int64_t> parse_iso8601_seconds(std::string_view text);

}  // namespace export_worker
