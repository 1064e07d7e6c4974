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
    threads_.emplace_back([this, number] { run(number); });
}

void WorkerThreads::run(unsigned number) {
    body_(number);
    const std::lock_guard lock(mutex_);
    ended_.push_back(std::this_thread::get_id());
    ended_changed_.notify_all();
}

void WorkerThreads::replace_stalled(unsigned stalled) {
    stalled_.store(std::min(stalled, limits::kWorkersReplacedMax));
    unsigned replaced = 0;
    {
        const std::lock_guard lock(mutex_);
        join_ended();
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
    std::unique_lock lock(mutex_);
    ended_changed_.wait_for(lock, timeout, [this] { return ended_.size() == threads_.size(); });
    join_ended();
    return static_cast<unsigned>(threads_.size());
}

// Each has released the mutex for the last time, so the wait is short.
void WorkerThreads::join_ended() {
    for (const std::thread::id id : ended_) {
        const auto thread = std::ranges::find(threads_, id, &std::thread::get_id);
        thread->join();
        threads_.erase(thread);
    }
    ended_.clear();
}

}  // namespace export_worker::server
