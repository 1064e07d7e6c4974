// Connections to the daemons: many requests in flight, each answered exactly once.
//
// It has no thread: its owner, who has an event loop, waits and calls poll(). A request goes to the
// daemon with the fewest in flight among those that are connected, answer pings and do not drain.
// Those that one round of events has for a daemon travel in one message. A
// second daemon is tried only when the first has said that it ran nothing ("executed": "no"); when
// a daemon goes away, what it had in flight fails, because it may have been carried out. Nothing
// waits for a daemon that is not there, and nothing new for one that has missed
// kPoolPingsMissedMax pings.
//
// Daemons are pooled when their pings name the same registry: a job of one is then known to the
// others. In use is the registry of the first daemon of the list that answers; daemons with another
// one are on standby, in the order listed.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "protocol/transport/client.hpp"

namespace export_worker::client {

// [one-owner]
class DaemonPool {
public:
    // kUnavailable: no daemon, or it went away (the work may have been done); kDeadlineExceeded;
    // kResourceExhausted: too many calls in flight. Otherwise the bytes of the reply.
    using Done = std::function<void(Result<std::string>)>;

    // What a daemon looks like from here.
    struct DaemonState {
        std::string endpoint;
        bool connected = false;
        bool answers = false;  // Its last ping came back in time.
        bool silent = false;   // Connected, and kPoolPingsMissedMax pings did not come back.
        bool in_use = false;   // Connected, not silent, and of the registry in use.
        bool draining = false;
        bool many_per_message = false;  // Takes several requests in one message.
        std::string registry;  // As its pings say; empty: unknown, never pooled with another.
        std::size_t in_flight = 0;
        std::uint64_t sent = 0;
        std::uint64_t losses = 0;
    };

    // `curve`: for endpoints over TCP; may be null without any. Errors: kInvalidArgument
    // (endpoints). A daemon that is not there is no error.
    [[nodiscard]] static Result<std::unique_ptr<DaemonPool>> open(
        const std::vector<std::string>& endpoints, const transport::CurveClient* curve = nullptr);
    ~DaemonPool();  // What is in flight fails.
    DaemonPool(const DaemonPool&) = delete;
    DaemonPool& operator=(const DaemonPool&) = delete;

    // Fails at once with kUnavailable when no daemon is in use.
    // `id` is the one in `message`, unique among the calls in flight. `done` runs once, from here,
    // from poll() or from the destructor. The next poll() sends it: it must follow soon.
    void call(std::string id, std::string message, std::chrono::milliseconds timeout, Done done);

    // Sends, takes the replies that are here, notices who has gone, ends what is overdue, pings. To
    // be called when one of descriptors() becomes readable (edge-triggered), after call(), and
    // every kPoolScanInterval in any case.
    void poll();
    [[nodiscard]] std::vector<int> descriptors() const;

    // As of the last turn.
    [[nodiscard]] std::vector<DaemonState> states() const;
    // The registry in use, as of the last turn; empty: none, or one that does not say.
    [[nodiscard]] const std::string& registry() const { return registry_; }

private:
    using Clock = std::chrono::steady_clock;
    struct Call {
        std::string message;  // Kept only while another daemon could be tried.
        Clock::time_point deadline;
        Done done;
        std::size_t daemon = 0;   // Which one has it.
        std::uint64_t tried = 0;  // A bit for each that was asked.
        bool sent = false;        // False: it is in the daemon's unsent.
    };
    using Calls = std::unordered_map<std::string, Call>;  // By id.
    struct Daemon {
        transport::Client client;
        DaemonState state;
        unsigned losses_seen = 0;
        std::vector<Calls::value_type*> unsent;
        std::string ping_id;  // Of the ping that is under way; empty: none.
        Clock::time_point ping_sent{};
        Clock::time_point ping_due{};
        int pings_missed = 0;     // In a row.
        bool introduced = false;  // A ping of this connection has told its registry, or none.
        bool standby_said = false;
    };
    explicit DaemonPool(std::vector<Daemon> daemons) : daemons_(std::move(daemons)) {}
    // For the best daemon that was not tried yet; false: there is none.
    [[nodiscard]] bool queue(Calls::value_type& call);
    // Afterwards nothing is unsent.
    void send_queued();
    // How many of `calls` travel in the next message to `daemon`.
    [[nodiscard]] static std::size_t count_together(const Daemon& daemon,
                                                    std::span<Calls::value_type* const> calls);
    // For another daemon, or it fails.
    void requeue(Calls::value_type& call);
    [[nodiscard]] Daemon* choose(std::uint64_t tried);
    void choose_registry();
    void say_standby(Daemon& daemon) const;
    [[nodiscard]] Daemon* first_with_unsent();
    void end(Calls::iterator call, Result<std::string> reply);
    void receive_from(std::size_t index);
    void record_ping(Daemon& daemon, const std::string& reply);
    // True: the call was sent to another daemon instead.
    [[nodiscard]] bool try_another(Calls::value_type& call, const std::string& reply);
    void record_loss(std::size_t index);
    void ping(Daemon& daemon);
    // Ends the calls that are to fail, once all of them have left in_flight_: `done` may call
    // again.
    template <typename Is>
    void fail_those(Is is, const Error& error);

    std::vector<Daemon> daemons_;
    std::string registry_;
    Calls in_flight_;
    std::size_t next_ = 0;  // Who is looked at first.
    std::uint64_t pings_ = 0;
    // Of send_queued(), which keeps their memory.
    std::vector<Calls::value_type*> sending_;
    std::vector<std::string_view> requests_;
    Clock::time_point next_scan_{};
};

// A daemon that is in use, answers and does not drain.
[[nodiscard]] bool is_ready(const DaemonPool::DaemonState& daemon);
// Why none of `daemons` takes requests, for people and probes; names no endpoint.
[[nodiscard]] std::string why_not_ready(const std::vector<DaemonPool::DaemonState>& daemons);

}  // namespace export_worker::client
