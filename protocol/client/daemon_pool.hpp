// Connections to the daemons: many requests in flight, each answered exactly once.
//
// A thread of its own owns the ZeroMQ sockets. A request goes to the daemon with the fewest in
// flight among those that are connected, answer pings and do not drain. A second daemon is tried
// only when the first has said that it ran nothing ("executed": "no"); when a daemon goes away,
// what it had in flight fails, because it may have been carried out. Nothing waits for a daemon
// that is not there.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "protocol/transport/client.hpp"

namespace export_worker::client {

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
        bool draining = false;
        std::size_t in_flight = 0;
        std::uint64_t sent = 0;
        std::uint64_t losses = 0;
    };

    // `curve`: for endpoints over TCP; may be null without any. Errors: kInvalidArgument
    // (endpoints). A daemon that is not there is no error.
    [[nodiscard]] static Result<std::unique_ptr<DaemonPool>> open(
        const std::vector<std::string>& endpoints, const transport::CurveClient* curve = nullptr);
    ~DaemonPool();
    DaemonPool(const DaemonPool&) = delete;
    DaemonPool& operator=(const DaemonPool&) = delete;

    // `id` is the one in `message`, unique among the calls in flight. `done` runs once, on the
    // pool's thread. [any-thread]
    void call(std::string id, std::string message, std::chrono::milliseconds timeout, Done done);

    // As of the last turn of the pool's thread. [any-thread]
    [[nodiscard]] std::vector<DaemonState> states() const;

private:
    using Clock = std::chrono::steady_clock;
    struct Call {
        std::string id;
        std::string message;  // Kept only while another daemon could be tried.
        Clock::time_point deadline;
        Done done;
        std::size_t daemon = 0;   // Which one has it.
        std::uint64_t tried = 0;  // A bit for each that was asked.
    };
    struct Daemon {
        transport::Client client;
        DaemonState state;
        unsigned losses_seen = 0;
        std::string ping_id;  // Of the ping that is under way; empty: none.
        Clock::time_point ping_sent{};
        Clock::time_point ping_due{};
    };
    explicit DaemonPool(std::vector<Daemon> daemons);
    void run();
    void send_new(std::vector<Call>& calls);
    // To the best daemon that was not tried yet; false: there is none.
    [[nodiscard]] bool send(Call& call);
    [[nodiscard]] Daemon* choose(std::uint64_t tried);
    void receive_from(std::size_t index);
    void note_ping(Daemon& daemon, const std::string& reply);
    // True: the call was sent to another daemon instead.
    [[nodiscard]] bool try_another(Call& call, const std::string& reply);
    void note_loss(std::size_t index);
    void ping(Daemon& daemon);
    void fail_all(const Error& error);
    void fail_overdue();
    void publish_states();

    std::vector<Daemon> daemons_;                      // The pool's thread, like the next three.
    std::unordered_map<std::string, Call> in_flight_;  // By id.
    std::size_t next_ = 0;                             // Who is looked at first.
    std::uint64_t pings_ = 0;
    UniqueFd wake_fd_;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::vector<Call> new_calls_;      // Guarded by mutex_.
    std::vector<DaemonState> states_;  // Guarded by mutex_.
    std::thread thread_;
};

}  // namespace export_worker::client
