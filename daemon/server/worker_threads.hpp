// A set of threads of which as many as wanted make progress: for each that is stalled another one
// runs, and once it comes back, one of them leaves.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <map>
#include <mutex>
#include <vector>

#include "base/bounded_thread.hpp"
#include "base/clock.hpp"

namespace export_worker::server {

class WorkerThreads {
public:
    // Runs once on each thread, whose number counts from 1 and is never used again. Returns when
    // the thread is to end: when leave_if_surplus() says so, or when the owner tells it.
    using Body = std::function<void(unsigned number)>;

    // Starts `wanted` threads.
    WorkerThreads(unsigned wanted, Body body);
    ~WorkerThreads();  // Only after a join() that left no thread.
    WorkerThreads(const WorkerThreads&) = delete;
    WorkerThreads& operator=(const WorkerThreads&) = delete;

    // `stalled` threads make no progress, of which at most kWorkersReplacedMax count: starts what
    // is missing, joins those that have left. [one-owner]
    void replace_stalled(unsigned stalled);
    // As replace_stalled() has counted them last. [any-thread]
    [[nodiscard]] unsigned stalled() const { return stalled_.load(); }
    // True: one thread too many runs, and the calling one must return from its body. Costs one load
    // while none was replaced. [worker-thread]
    [[nodiscard]] bool leave_if_surplus();
    // Waits for threads that were told to end, at most `timeout` in all. Returns how many still
    // run, in their body or in a thread-local destructor; they go on to use this object, so it must
    // not be destroyed. May be called again. [one-owner]
    [[nodiscard]] unsigned join(std::chrono::milliseconds timeout);

private:
    void start_one();
    void run(unsigned number);
    // Those whose body has returned; what still runs after `end` stays. With the mutex held.
    void join_ended(SteadyTime end);

    const Body body_;
    unsigned started_ = 0;  // By the owner.
    std::atomic<unsigned> stalled_{0};
    // Threads above those wanted, but for those that have been told to leave. Written with the
    // mutex held.
    std::atomic<unsigned> replacements_{0};

    std::mutex mutex_;
    std::condition_variable ended_changed_;
    // All guarded by mutex_:
    std::map<unsigned, BoundedThread> threads_;  // By number.
    std::vector<unsigned> ended_;                // To be joined.
};

}  // namespace export_worker::server
