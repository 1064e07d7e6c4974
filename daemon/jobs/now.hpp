// When something is written, on both clocks of the store.
#pragma once

#include <chrono>
#include <cstdint>

namespace export_worker::jobs {

struct Now {
    std::int64_t us = 0;       // For lengths of time: no setting of the wall clock moves it.
    std::int64_t wall_us = 0;  // For people: Unix time.
};

[[nodiscard]] inline std::int64_t us_of(std::chrono::microseconds length) {
    return length.count();
}

}  // namespace export_worker::jobs
