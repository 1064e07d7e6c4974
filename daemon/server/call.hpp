// One request in its slot, from arrival to reply. A crash loses it; its caller sees the connection
// go.
//
// Who may touch it: the loop from arrival until it hands the call to the worker pool, then the
// thread that runs it, then the loop again once the pool hands it back. The exceptions are the
// atomic members and `answered`: the loop also looks at them in between.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>

#include "base/clock.hpp"
#include "protocol/message/request.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::server {

// Of two that race for a queued call, the thread that starts it and the loop that expires it,
// exactly one wins.
//
//   kIdle -> kQueued -> kRunning -> kIdle
//                    -> kExpired -> kIdle
//
class CallProgress {
public:
    enum class State : std::uint8_t {
        kIdle,     // Free, or in the hands of the loop.
        kQueued,   // In a queue, or popped by a thread that has not started it.
        kRunning,  // A worker has it.
        kExpired,  // Its deadline passed while it was queued: the worker that pops it hands it
                   // back.
    };

    void queue() { state_.store(State::kQueued); }               // [loop-thread]
    void reset() { state_.store(State::kIdle); }                 // [loop-thread]
    [[nodiscard]] State state() const { return state_.load(); }  // [any-thread]
    // False: the loop has expired it. [worker-thread]
    [[nodiscard]] bool try_start(SteadyTime now) {
        started_ns_.store(now.time_since_epoch().count(), std::memory_order_relaxed);
        return advance(State::kRunning);
    }
    // False: a worker has started it. [loop-thread]
    [[nodiscard]] bool try_expire() { return advance(State::kExpired); }
    // Of a running call. [any-thread]
    [[nodiscard]] SteadyTime started() const {
        return SteadyTime(std::chrono::nanoseconds(started_ns_.load(std::memory_order_relaxed)));
    }

private:
    [[nodiscard]] bool advance(State next) {
        State expected = State::kQueued;
        return state_.compare_exchange_strong(expected, next);
    }

    std::atomic<State> state_{State::kIdle};
    std::atomic<std::int64_t> started_ns_{0};
};

struct WorkerGroup;

struct Call {
    transport::Envelope envelope;
    std::string body;
    message::Request request;  // Views into `body`, but for an id that was made here.
    std::string own_id;
    SteadyTime arrived;
    SteadyTime deadline;
    std::size_t peer_class = 0;    // Below kPeerClasses.
    bool commits = false;          // Returns only once something is durable.
    bool is_own = false;           // Of a method of the daemon: no plugin answers it.
    bool lists = false;            // Reads many rows.
    std::string list_of;           // Of a call that ListAdmission knows: its organization.
    WorkerGroup* group = nullptr;  // Of the pool, whose workers run it.
    std::string reply;
    bool reply_is_result = false;
    CallProgress progress;
    // Of a running call, written by its worker: who it is, and the plugin's generation that the
    // call is in; 0: none.
    std::atomic<unsigned> worker{0};
    std::atomic<std::uint64_t> generation{0};
    bool answered = false;        // [loop-thread]
    bool is_refused = false;      // By the pool, with the answer in `reply`.
    Call* next_queued = nullptr;  // Of the FairQueue or the line of ListAdmission it is in.
};

}  // namespace export_worker::server
