// The alarms of the daemon: what is wrong now, and since when.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/model/alarm.hpp"

namespace export_worker::control {

// Looks every kAlarmInterval on a thread of its own, so that what comes and goes is logged, and
// that names() costs nothing.
class AlarmList {
public:
    explicit AlarmList(const Clock& clock) : clock_(clock) {}  // `clock` outlives the list.
    ~AlarmList() { stop(); }
    AlarmList(const AlarmList&) = delete;
    AlarmList& operator=(const AlarmList&) = delete;

    // What is wrong now; since_unix_us is not looked at. Called on any thread, one at a time.
    using Collect = std::function<std::vector<model::Alarm>()>;
    // Until then there are no alarms. What `collect` uses is there until stop(). At most once.
    // [one-owner]
    void start(Collect collect);
    void stop();  // No look is under way or begins after it. [one-owner]

    // As of now. Blocks as long as `collect` does. [any-thread]
    [[nodiscard]] std::vector<model::Alarm> read();
    // The names, each once, as of the last look. Waits for nothing. [any-thread]
    [[nodiscard]] std::vector<std::string> names() const;

private:
    void run();

    const Clock& clock_;
    std::mutex looking_;  // One look at a time.
    Collect collect_;     // Guarded by looking_; empty: not started, or stopped.
    // By name, subject and the cause up to its first figure, which may change. Guarded by looking_.
    std::map<std::array<std::string, 3>, std::int64_t> since_;
    mutable std::mutex mutex_;
    std::vector<std::string> names_;  // Guarded by mutex_.
    StoppableThreads threads_;        // Last: they use everything above.
};

}  // namespace export_worker::control
