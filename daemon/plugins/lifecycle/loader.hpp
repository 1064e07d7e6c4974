// A thread that does one thing after the other.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <thread>

namespace export_worker::plugins {

class Loader {
public:
    Loader();
    ~Loader() { stop(); }
    Loader(const Loader&) = delete;
    Loader& operator=(const Loader&) = delete;

    // Runs `task` behind those that were posted before. [any-thread]
    void post(std::function<void()> task);
    // Waits for the task that runs; what has not begun is dropped. May be called again.
    // [one-owner]
    void stop();

private:
    void run();

    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;
    bool stopping_ = false;
    std::thread thread_;
};

}  // namespace export_worker::plugins
