#include "daemon/http/backoff.hpp"

#include <algorithm>
#include <random>
#include <thread>

#include "base/limits.hpp"

namespace export_worker::http {

std::chrono::milliseconds backoff_of(int failures) {
    thread_local std::minstd_rand random(std::random_device{}());
    const auto ceiling =
        std::min(limits::kHttpBackoffBase * (1 << std::min(failures, 16)), limits::kHttpBackoffMax);
    std::uniform_int_distribution<std::int64_t> pick(0, ceiling.count());
    return std::chrono::milliseconds(pick(random));
}

bool wait_backoff(int failures, const std::atomic<bool>* stopping) {
    const auto end = std::chrono::steady_clock::now() + backoff_of(failures);
    constexpr std::chrono::milliseconds kStep{20};
    for (;;) {
        if (stopping != nullptr && stopping->load()) return false;
        const auto now = std::chrono::steady_clock::now();
        if (now >= end) return true;
        std::this_thread::sleep_for(
            std::min<std::chrono::steady_clock::duration>(kStep, end - now));
    }
}

bool is_worth_retrying(long status) {
    return status == 408 || status == 429 || status == 500 || status == 502 || status == 503 ||
           status == 504;
}

}  // namespace export_worker::http
