// Waiting in tests for what another thread or process brings about.
#pragma once

#include <chrono>
#include <thread>

namespace export_worker::testing {

// True as soon as `condition` holds; false after half a minute of real time.
template <typename Condition>
[[nodiscard]] bool eventually(Condition condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(30);
    while (!condition()) {
        if (std::chrono::steady_clock::now() >= end) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds(1));  // sleep: between two looks
    }
    return true;
}

}  // namespace export_worker::testing
