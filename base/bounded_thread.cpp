#include "base/bounded_thread.hpp"

#include <time.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "base/assert.hpp"

namespace export_worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::nanoseconds;

void* run(void* argument) {
    const std::unique_ptr<std::function<void()>> body(
        static_cast<std::function<void()>*>(argument));
    (*body)();
    return nullptr;
}

timespec wall_time_in(milliseconds wait) {
    timespec now{};
    (void)::clock_gettime(CLOCK_REALTIME, &now);
    const nanoseconds end =
        std::chrono::seconds(now.tv_sec) + nanoseconds(now.tv_nsec) + nanoseconds(wait);
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(end);
    return {static_cast<time_t>(seconds.count()), static_cast<long>((end - seconds).count())};
}

}  // namespace

BoundedThread::BoundedThread(std::function<void()> body) {
    auto owned = std::make_unique<std::function<void()>>(std::move(body));
    pthread_t made{};
    EW_ASSERT(::pthread_create(&made, nullptr, run, owned.get()) == 0);
    (void)owned.release();
    thread_ = made;
}

BoundedThread::BoundedThread(BoundedThread&& other) noexcept
    : thread_(std::exchange(other.thread_, std::nullopt)) {}

BoundedThread& BoundedThread::operator=(BoundedThread&& other) noexcept {
    leave_behind();
    thread_ = std::exchange(other.thread_, std::nullopt);
    return *this;
}

BoundedThread::~BoundedThread() {
    leave_behind();
}

bool BoundedThread::join_within(milliseconds timeout) {
    if (!thread_) return true;
    bool joined = ::pthread_tryjoin_np(*thread_, nullptr) == 0;
    const auto end = std::chrono::steady_clock::now() + timeout;
    while (!joined) {
        const auto left = std::chrono::ceil<milliseconds>(end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        // In slices: the call knows the wall clock only, which may be set meanwhile.
        const timespec until = wall_time_in(std::min(left, milliseconds(100)));
        joined = ::pthread_timedjoin_np(*thread_, nullptr, &until) == 0;
    }
    thread_.reset();
    return true;
}

void BoundedThread::leave_behind() {
    if (thread_) (void)::pthread_detach(*thread_);
    thread_.reset();
}

}  // namespace export_worker
