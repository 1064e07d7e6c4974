// How long to wait before trying again.
#pragma once

#include <atomic>
#include <chrono>

#include "base/clock.hpp"

namespace export_worker::http {

// Full jitter between kHttpBackoffBase and kHttpBackoffMax (base/backoff.hpp).
[[nodiscard]] std::chrono::milliseconds backoff_of(int failures);

// Sleeps that long by `clock`; false as soon as `stopping` (which may be null) is set.
[[nodiscard]] bool wait_backoff(int failures, const Clock& clock,
                                const std::atomic<bool>* stopping);

// Statuses that say "later": 408, 429, 500, 502, 503, 504.
[[nodiscard]] bool is_worth_retrying(long status);

}  // namespace export_worker::http
