// Whether the whole process stood still: the machine was suspended, or something stopped it.
#pragma once

#include <chrono>

#include "base/limits.hpp"

namespace export_worker {

// A sleep began at `asleep_since` and was to take `wanted`. True: it took so much longer that the
// process must have been frozen. Real time, whatever clock is injected: the subject is this
// process.
[[nodiscard]] inline bool was_frozen(std::chrono::steady_clock::time_point asleep_since,
                                     std::chrono::milliseconds wanted) {
    return std::chrono::steady_clock::now() - asleep_since > wanted + limits::kFreezeMin;
}

}  // namespace export_worker
