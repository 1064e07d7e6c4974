// Threads of one owner that work until they are told to stop, and wait in between.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace export_worker {

// What the threads use outlives this object: it is its owner's last member.
class StoppableThreads {
public:
    StoppableThreads() = default;
    ~StoppableThreads() { stop(); }
    StoppableThreads(const StoppableThreads&) = delete;
    StoppableThreads& operator=(const StoppableThreads&) = delete;

    // One more thread; `run` returns soon after stopping() is true. [one-owner]
    void start(std::function<void()> run);
    // From now on stopping() is true, and whoever waits goes on. There is no way back.
    // [any-thread]
    void request_stop();
    // The same, and returns once all threads have ended. Again is fine. [one-owner]
    void stop();
    [[nodiscard]] const std::atomic<bool>& stopping() const { return stopping_; }

    // Waits for `length`. False: it is time to stop. [any-thread]
    [[nodiscard]] bool wait_for(std::chrono::milliseconds length);
    // The same, and no longer than until the first wake() after wakes() was `seen`. [any-thread]
    [[nodiscard]] bool wait_for(std::chrono::milliseconds length, std::uint64_t seen);
    void wake();                                // [any-thread]
    [[nodiscard]] std::uint64_t wakes() const;  // So many there were. [any-thread]

private:
    mutable std::mutex mutex_;
    std::condition_variable changed_;    // A wake, or the end.
    std::atomic<bool> stopping_{false};  // Set under mutex_.
    std::uint64_t wakes_ = 0;            // Guarded by mutex_.
    std::vector<std::thread> threads_;   // The owner's.
};

}  // namespace export_worker
