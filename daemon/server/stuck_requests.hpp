// Requests that are past their deadline and have not returned from a plugin, for operators. Nothing
// here survives a crash.
#pragma once

#include <chrono>
#include <cstdint>
#include <mutex>
#include <string>
#include <vector>

#include "daemon/model/alarm.hpp"

namespace export_worker::server {

// Those inside one generation of a plugin, each for longer than kWorkerStall.
struct StuckRequests {
    std::string plugin;
    std::uint64_t generation = 0;
    unsigned count = 0;
    std::chrono::nanoseconds longest{0};
    std::string request_id;  // Of the longest, like the next.
    unsigned worker = 0;
    bool plugin_is_closed = false;  // New requests for the plugin are refused.
    bool is_replaced = false;       // Another generation answers now.
};

// Adds `more` to the entry of its plugin and generation.
void add_stuck(std::vector<StuckRequests>& list, StuckRequests more);
[[nodiscard]] model::Alarm to_alarm(const StuckRequests& stuck);

class StuckRequestList {
public:
    // An entry of each plugin and generation. What is new since the last time is logged, and what
    // has gone. [one-owner]
    void set(std::vector<StuckRequests> now);
    [[nodiscard]] std::vector<StuckRequests> read() const;  // [any-thread]

private:
    mutable std::mutex mutex_;
    std::vector<StuckRequests> list_;  // Guarded by mutex_.
};

}  // namespace export_worker::server
