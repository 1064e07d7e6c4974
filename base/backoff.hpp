// How long to wait before trying again.
#pragma once

#include <chrono>

namespace export_worker {

// Full jitter: anything from 0 to `base` doubled `failures` times, at most `max`. Source: Marc
// Brooker, "Exponential Backoff And Jitter" (AWS Architecture Blog). [any-thread]
[[nodiscard]] std::chrono::microseconds full_jitter(std::chrono::microseconds base,
                                                    std::chrono::microseconds max, int failures);

}  // namespace export_worker
