#include "base/backoff.hpp"

#include <algorithm>
#include <cstdint>
#include <random>

namespace export_worker {

std::chrono::microseconds full_jitter(std::chrono::microseconds base, std::chrono::microseconds max,
                                      int failures) {
    thread_local std::minstd_rand random(std::random_device{}());
    const auto ceiling = std::min(base * (std::int64_t{1} << std::clamp(failures, 0, 20)), max);
    std::uniform_int_distribution<std::int64_t> pick(0, ceiling.count());
    return std::chrono::microseconds(pick(random));
}

}  // namespace export_worker
