// One long piece of work at a time, beside the control socket, which must stay quick: fsck,
// prune and backup. Its caller asks for its state until it has ended. A crash ends it without a
// trace but what it has done; each can be begun again.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"

namespace export_worker::control {

class LongTask {
public:
    using Work = std::function<Result<nlohmann::json>(
        const std::atomic<bool>& stopping, const std::function<void(nlohmann::json)>& progress)>;

    LongTask();
    ~LongTask();  // Tells the work to stop and waits for it.
    LongTask(const LongTask&) = delete;
    LongTask& operator=(const LongTask&) = delete;

    // Errors: kConflict, naming the one that still runs.
    [[nodiscard]] Result<void> start(const std::string& name, Work work);
    // {name, running, progress, result?, error?} of the one begun last; null before the first.
    [[nodiscard]] nlohmann::json state() const;
    // "ok" or the code of the error, of each that has ended since the last call, oldest first.
    // [any-thread]
    [[nodiscard]] std::vector<std::string> take_outcomes();

private:
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::unique_ptr<nlohmann::json> state_;  // Guarded by mutex_; a pointer keeps JSON out of here.
    std::vector<std::string> outcomes_;      // Guarded by mutex_.
    std::thread thread_;
};

}  // namespace export_worker::control
