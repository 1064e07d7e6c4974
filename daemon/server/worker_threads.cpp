#include "daemon/server/worker_threads.hpp"

#include <algorithm>
#include <utility>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "daemon/server/limits.hpp"

namespace export_worker::server {

WorkerThreads::WorkerThreads(unsigned wanted, Body body) : body_(std::move(body)) {
    const std::lock_guard lock(mutex_);
    for (unsigned index = 0; index < wanted; ++index) start_one();
}

WorkerThreads::~WorkerThreads() {
    EW_ASSERT(threads_.empty());
}

void WorkerThreads::start_one() {
    const unsigned number = ++started_;
    threads_.emplace(number, BoundedThread([this, number] { run(number); }));
}

void WorkerThreads::run(unsigned number) {
    body_(number);
    const std::lock_guard lock(mutex_);
    ended_.push_back(number);
    ended_changed_.notify_all();
}

void WorkerThreads::replace_stalled(unsigned stalled) {
    stalled_.store(std::min(stalled, limits::kWorkersReplacedMax));
    unsigned replaced = 0;
    {
        const std::lock_guard lock(mutex_);
        join_ended(SteadyTime());  // The loop waits for nothing.
        for (; replacements_.load() < stalled_.load(); ++replaced) {
            ++replacements_;
            start_one();
        }
    }
    if (replaced == 0) return;
    log_warn("{} workers have been in one request for more than {} ms; started {} in their place",
             stalled, limits::kWorkerStall.count(), replaced);
}

bool WorkerThreads::leave_if_surplus() {
    if (replacements_.load(std::memory_order_relaxed) == 0) return false;
    const std::lock_guard lock(mutex_);
    if (replacements_.load() <= stalled_.load()) return false;
    --replacements_;
    return true;
}

unsigned WorkerThreads::join(std::chrono::milliseconds timeout) {
    const SteadyTime end = std::chrono::steady_clock::now() + timeout;
    std::unique_lock lock(mutex_);
    ended_changed_.wait_until(lock, end, [this] { return ended_.size() == threads_.size(); });
    join_ended(end);
    return static_cast<unsigned>(threads_.size());
}

// A plugin's thread-local destructor may hang in one of them: none holds up the others.
void WorkerThreads::join_ended(SteadyTime end) {
    std::erase_if(ended_, [&](unsigned number) {
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(
            end - std::min(end, std::chrono::steady_clock::now()));
        if (!threads_.at(number).join_within(left)) return false;
        threads_.erase(number);
        return true;
    });
}

}  // namespace export_worker::server
