#include "daemon/plugins/running/plugin_thread.hpp"

#include <algorithm>
#include <condition_variable>
#include <utility>

#include "base/bounded_thread.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/running/limits.hpp"

namespace export_worker::plugins {

using std::chrono::milliseconds;

struct PluginThread::Worker {
    std::mutex mutex;
    std::condition_variable changed;
    std::function<void()> work;  // Guarded by mutex, like the next.
    bool ending = false;
    std::atomic<bool> idle{true};
    BoundedThread thread;  // The owner's.

    void run() {
        name_this_thread("plugin-calls");
        set_thread_role(ThreadRole::kLoader);
        std::unique_lock lock(mutex);
        for (;;) {
            changed.wait(lock, [this] { return ending || work; });
            if (!work) return;
            {
                const std::function<void()> now = std::exchange(work, nullptr);
                lock.unlock();
                now();
            }
            lock.lock();
            idle.store(true);
            changed.notify_all();
        }
    }
};

PluginThread::~PluginThread() {
    stop();
}

void PluginThread::stop() {
    if (!worker_) return;
    {
        const std::lock_guard lock(worker_->mutex);
        worker_->ending = true;
    }
    worker_->changed.notify_all();
    const SteadyTime since = clock_.steady();
    if (!worker_->thread.join_within(limits::kPluginThreadEndTimeout)) {
        worker_->idle.store(false);  // For ever.
        leave_behind({last_call_.plugin, "a thread-local destructor after " + last_call_.what},
                     since);
    }
    worker_.reset();
}

void PluginThread::start() {
    worker_ = std::make_shared<Worker>();
    worker_->thread = BoundedThread([worker = worker_] { worker->run(); });
}

bool PluginThread::run(const CallName& call, std::function<void()> work, milliseconds timeout) {
    if (!worker_) start();
    last_call_ = call;
    const SteadyTime since = clock_.steady();
    std::unique_lock lock(worker_->mutex);
    worker_->work = std::move(work);
    worker_->idle.store(false);
    worker_->changed.notify_all();
    while (!worker_->idle.load()) {
        const SteadyTime end = std::min(since + timeout, end_.load());
        const auto left = std::chrono::ceil<milliseconds>(end - clock_.steady());
        if (left.count() <= 0) {
            lock.unlock();
            leave_behind(call, since);
            return false;
        }
        // In slices, so that hurry() is heard.
        const milliseconds slice = clock_.block_for(std::min(left, milliseconds(100)));
        worker_->changed.wait_for(lock, slice, [this] { return worker_->idle.load(); });
    }
    return true;
}

void PluginThread::leave_behind(const CallName& call, SteadyTime since) {
    {
        const std::lock_guard lock(worker_->mutex);
        worker_->ending = true;  // Should the call return after all.
    }
    worker_->thread.leave_behind();
    const std::lock_guard lock(mutex_);
    left_.push_back({call, since, worker_});
    worker_.reset();
}

void PluginThread::hurry(milliseconds timeout) {
    end_.store(clock_.steady() + timeout);
}

std::vector<HungCall> PluginThread::hung() const {
    std::vector<HungCall> out;
    const std::lock_guard lock(mutex_);
    for (const Left& left : left_) {
        if (!left.worker->idle.load()) out.push_back({left.call, clock_.steady() - left.since});
    }
    return out;
}

}  // namespace export_worker::plugins
