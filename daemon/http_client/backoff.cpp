#include "daemon/http_client/backoff.hpp"

#include <algorithm>
#include <thread>

#include "base/backoff.hpp"
#include "daemon/http_client/limits.hpp"

namespace export_worker::http {

std::chrono::milliseconds backoff_of(int failures) {
    return std::chrono::duration_cast<std::chrono::milliseconds>(
        full_jitter(limits::kHttpBackoffBase, limits::kHttpBackoffMax, failures));
}

bool wait_backoff(int failures, const Clock& clock, const std::atomic<bool>* stopping) {
    const SteadyTime end = clock.steady() + backoff_of(failures);
    constexpr std::chrono::milliseconds kStep{20};
    for (;;) {
        if (stopping != nullptr && stopping->load()) return false;
        const SteadyTime now = clock.steady();
        if (now >= end) return true;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(end - now);
        std::this_thread::sleep_for(clock.block_for(std::min(kStep, left)));
    }
}

bool is_worth_retrying(long status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

}  // namespace export_worker::http
