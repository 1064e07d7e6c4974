// The data socket: the loop that takes requests in and sends replies out.
//
//   peer -> [loop: CallTable] -> [WorkerPool] -> [loop: Responder, ReplyOutbox] -> peer
//
// A request occupies a slot of the table from arrival to reply; without a slot it is answered
// "overloaded" on the spot. Every accepted request gets exactly one reply: its worker's, or the
// loop's when its deadline passes first; the later one is dropped. A crash loses what is in flight.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/wake_event.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/server/call_table.hpp"
#include "daemon/server/dispatcher.hpp"
#include "daemon/server/responder.hpp"
#include "daemon/server/worker_pool.hpp"
#include "protocol/message/wire_error.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::server {

// Told by the loop that it goes round: one that stands still is silent.
struct Watchdog {
    std::chrono::microseconds interval{0};  // At least so often.
    std::function<void()> notify_alive;     // Empty: nothing is told. [loop-thread]
};

class DataServer {
public:
    // Everything outlives the server. Starts the threads: `workers` for the daemon's own methods
    // and for each plugin. The loop counts in `ledger`, and tells `watchdog`.
    DataServer(transport::ServerSocket socket, const Dispatcher& dispatcher, const Clock& clock,
               unsigned workers, model::Ledger& ledger, Watchdog watchdog = {});
    ~DataServer();  // stop(), after which no worker may be left: see there.
    DataServer(const DataServer&) = delete;
    DataServer& operator=(const DataServer&) = delete;

    // From now on new requests are answered "draining". [any-thread]
    void drain() { draining_.store(true); }
    // drain(), waits for what is in flight, then ends the threads; for both at most kDrainTimeout.
    // Returns how many workers are stuck in a plugin. When that is not 0, they go on to use this
    // server and everything it was made from: the caller must end the process without destroying
    // any of them, or call stop() again later. [one-owner]
    [[nodiscard]] unsigned stop();

    // Requests that occupy a slot: not answered yet, or answered while their worker goes on.
    // [any-thread]
    [[nodiscard]] std::size_t occupied() const { return calls_.occupied(); }
    // Workers inside one request for longer than kWorkerStall; as many, at most kWorkersReplacedMax
    // of a plugin, were started in their place. [any-thread]
    [[nodiscard]] unsigned stalled_workers() const { return workers_.stalled(); }
    // Requests that do not return from a plugin, by plugin and generation. [any-thread]
    [[nodiscard]] std::vector<StuckRequests> stuck_requests() const { return workers_.stuck(); }
    [[nodiscard]] bool draining() const { return draining_.load(); }  // [any-thread]

private:
    void run_loop();
    void tell_watchdog(SteadyTime now);
    [[nodiscard]] bool has_drained();
    [[nodiscard]] std::chrono::milliseconds wait_timeout() const;
    // Returns how many messages there were, at most kReceivesPerTurn.
    std::size_t receive_requests();
    // A received request, which gets a slot or its error.
    void admit(Call& call);
    void refuse_overloaded(Call& call, std::string why);
    // Answers an admitted call or hands it to the workers. An error: the answer that is still to be
    // sent.
    [[nodiscard]] std::optional<message::WireError> begin(Call& call);
    void answer_ping(Call& call);
    void collect_finished();
    void expire_overdue(SteadyTime now);
    // Answers what waits for plugins that take no more.
    void answer_refused();

    const Dispatcher& dispatcher_;
    const Clock& clock_;
    std::atomic<bool> draining_{false};
    std::atomic<bool> stopping_{false};
    SteadyTime drain_end_{};  // Written before stopping_, read after it.
    WakeEvent wake_;

    // Loop thread only, but for calls_.occupied():
    transport::ServerSocket socket_;
    model::Ledger& ledger_;
    CallTable calls_;
    Responder responder_;
    std::vector<Call*> finished_;  // Reused, so that collecting allocates nothing.
    SteadyTime next_scan_{};
    std::size_t quiet_turns_ = 0;         // In a row without a message, with nothing in flight.
    std::optional<SteadyTime> talk_end_;  // Set when a stop has answered all that was in flight.
    const Watchdog watchdog_;
    SteadyTime next_alive_{};

    // Last: their threads use everything above.
    WorkerPool workers_;
    std::thread loop_;
};

}  // namespace export_worker::server
