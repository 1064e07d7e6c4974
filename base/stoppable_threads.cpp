#include "base/stoppable_threads.hpp"

#include <utility>

namespace export_worker {

void StoppableThreads::start(std::function<void()> run) {
    threads_.emplace_back(std::move(run));
}

void StoppableThreads::request_stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_.store(true);
    }
    changed_.notify_all();
}

void StoppableThreads::stop() {
    request_stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
}

bool StoppableThreads::wait_for(std::chrono::milliseconds length) {
    std::unique_lock lock(mutex_);
    return !changed_.wait_for(lock, length, [this] { return stopping_.load(); });
}

bool StoppableThreads::wait_for(std::chrono::milliseconds length, std::uint64_t seen) {
    std::unique_lock lock(mutex_);
    changed_.wait_for(lock, length, [&] { return stopping_.load() || wakes_ != seen; });
    return !stopping_.load();
}

void StoppableThreads::wake() {
    {
        const std::lock_guard lock(mutex_);
        ++wakes_;
    }
    changed_.notify_all();
}

std::uint64_t StoppableThreads::wakes() const {
    const std::lock_guard lock(mutex_);
    return wakes_;
}

}  // namespace export_worker
