// A thread whose end can be waited for with a bound, for threads that run code of plugins:
// std::thread::join() waits for ever for one whose thread-local destructors do not return.
#pragma once

#include <pthread.h>

#include <chrono>
#include <functional>
#include <optional>

namespace export_worker {

class BoundedThread {
public:
    BoundedThread() = default;  // None.
    // Starts it; aborts when the system has no thread left. `body` does not throw.
    explicit BoundedThread(std::function<void()> body);
    BoundedThread(BoundedThread&& other) noexcept;
    BoundedThread& operator=(BoundedThread&& other) noexcept;
    ~BoundedThread();  // Leaves one behind that was not joined.

    // Waits at most `timeout`, at 0 not at all. True: there is none any more, its thread-local
    // destructors have returned, too. May be called again. [one-owner]
    [[nodiscard]] bool join_within(std::chrono::milliseconds timeout);
    // It goes on without an owner, and must own or outlive everything it uses.
    void leave_behind();

private:
    std::optional<pthread_t> thread_;
};

}  // namespace export_worker
