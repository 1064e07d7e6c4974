// A thread for calls into plugin code that may never return.
//
// Nothing can end such a call but the end of the process. So the thread that is in it is left
// behind, and the next call gets a new one.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/clock.hpp"

namespace export_worker::plugins {

struct CallName {
    std::string plugin;
    std::string what;  // "load of 0123456789abcdef"
};

// A call that did not return in time, and has not returned since.
struct HungCall {
    CallName call;
    std::chrono::nanoseconds running{0};
};

class PluginThread {
public:
    explicit PluginThread(const Clock& clock) : clock_(clock) {}  // The clock outlives it.
    ~PluginThread();  // stop(); those left behind go on.
    PluginThread(const PluginThread&) = delete;
    PluginThread& operator=(const PluginThread&) = delete;

    // Runs `work` on the thread and waits for it, at most `timeout`. False: it has not returned;
    // it goes on, and must own or outlive everything it uses. `call` names it. [one-owner]
    [[nodiscard]] bool run(const CallName& call, std::function<void()> work,
                           std::chrono::milliseconds timeout);
    // Ends the idle thread. One in which a thread-local destructor of a plugin does not return
    // within kPluginThreadEndTimeout is left behind, and hung() has it. [one-owner]
    void stop();
    // From now on all calls of run() together, the one under way included, wait at most
    // `timeout`. [any-thread]
    void hurry(std::chrono::milliseconds timeout);
    // [any-thread]
    [[nodiscard]] std::vector<HungCall> hung() const;

private:
    struct Worker;
    struct Left {
        CallName call;
        SteadyTime since;
        std::shared_ptr<const Worker> worker;
    };
    void start();
    void leave_behind(const CallName& call, SteadyTime since);

    const Clock& clock_;
    std::shared_ptr<Worker> worker_;  // Shared with its thread. [one-owner]
    CallName last_call_;              // [one-owner]
    std::atomic<SteadyTime> end_{SteadyTime::max()};
    mutable std::mutex mutex_;
    std::vector<Left> left_;  // Guarded by mutex_.
};

}  // namespace export_worker::plugins
