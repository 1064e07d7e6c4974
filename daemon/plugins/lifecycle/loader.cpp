#include "daemon/plugins/lifecycle/loader.hpp"

#include "base/this_thread.hpp"
#include "base/thread_role.hpp"

namespace export_worker::plugins {

Loader::Loader() : thread_([this] { run(); }) {}

void Loader::post(std::function<void()> task) {
    {
        const std::lock_guard lock(mutex_);
        tasks_.push_back(std::move(task));
    }
    changed_.notify_one();
}

void Loader::stop() {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        tasks_.clear();
    }
    changed_.notify_one();
    if (thread_.joinable()) thread_.join();
}

void Loader::run() {
    name_this_thread("loader");
    set_thread_role(ThreadRole::kLoader);
    std::unique_lock lock(mutex_);
    for (;;) {
        changed_.wait(lock, [this] { return stopping_ || !tasks_.empty(); });
        if (stopping_) return;
        const std::function<void()> task = std::move(tasks_.front());
        tasks_.pop_front();
        lock.unlock();
        task();
        lock.lock();
    }
}

}  // namespace export_worker::plugins
