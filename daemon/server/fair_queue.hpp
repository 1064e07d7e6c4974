// Calls that wait for a thread. Nothing here survives a crash.
//
// Classes of peers take turns (stochastic fair queueing, McKenney 1990): the many calls of one do
// not delay the first of another. Within a class: first in, first out.
// The first call wakes a thread, and a thread that leaves calls behind wakes the next one: many
// that come at once do not cost a wake-up each.
#pragma once

#include <array>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <mutex>

#include "daemon/server/call.hpp"
#include "daemon/server/limits.hpp"

namespace export_worker::server {

// [any-thread]. Borrows the calls: each outlives its stay, and is in one queue at a time.
// Allocates nothing.
class FairQueue {
public:
    // False: `size_max` calls wait already.
    [[nodiscard]] bool try_push(Call& call, std::size_t size_max);
    void push(Call& call) {
        static_cast<void>(try_push(call, std::numeric_limits<std::size_t>::max()));
    }
    // Waits for a call. Null: the queue is closed; what it held is not handed out any more.
    [[nodiscard]] Call* pop();
    // Null: no call waits.
    [[nodiscard]] Call* try_pop();
    // Ends every pop(), now and later. Calls can still be pushed.
    void close();

private:
    struct Line {
        Call* first = nullptr;
        Call* last = nullptr;  // Valid while there is a first.
    };

    [[nodiscard]] Call* take();  // With the mutex held and a call there.

    std::mutex mutex_;
    std::condition_variable changed_;
    // All guarded by mutex_:
    std::array<Line, limits::kPeerClasses> lines_;
    std::uint64_t waiting_ = 0;  // A bit for each class that has calls.
    int turn_ = 0;               // The class that is looked at first.
    std::size_t size_ = 0;
    bool closed_ = false;
};

}  // namespace export_worker::server
