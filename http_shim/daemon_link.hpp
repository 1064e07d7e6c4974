// The one connection to the daemon: many requests in flight, each answered exactly once.
//
// A thread of its own owns the ZeroMQ socket. When the daemon goes away, everything in flight fails
// at once, and new calls fail until it is back; nothing is ever sent twice.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"
#include "protocol/transport/client.hpp"

namespace export_worker::http_shim {

class DaemonLink {
public:
    // kUnavailable: no daemon, or it went away (the work may have been done); kDeadlineExceeded;
    // kResourceExhausted: too many calls in flight. Otherwise the bytes of the reply.
    using Done = std::function<void(Result<std::string>)>;

    // Errors: kInvalidArgument (endpoint). A daemon that is not there is no error.
    [[nodiscard]] static Result<std::unique_ptr<DaemonLink>> open(const std::string& endpoint);
    ~DaemonLink();
    DaemonLink(const DaemonLink&) = delete;
    DaemonLink& operator=(const DaemonLink&) = delete;

    // `id` is the one in `message`, unique among the calls in flight. `done` runs once, on the
    // link's thread. [any-thread]
    void call(std::string id, std::string message, std::chrono::milliseconds timeout, Done done);

private:
    struct Call {
        std::string id;
        std::string message;
        std::chrono::steady_clock::time_point deadline;
        Done done;
    };
    explicit DaemonLink(transport::Client client);
    void run();
    void send_new(std::vector<Call>& calls);
    void receive_all();
    void fail_all(const Error& error);
    void fail_overdue();

    transport::Client client_;                         // The link's thread.
    std::unordered_map<std::string, Call> in_flight_;  // The link's thread.
    UniqueFd wake_fd_;
    std::atomic<bool> stopping_{false};
    std::mutex mutex_;
    std::vector<Call> new_calls_;  // Guarded by mutex_.
    std::thread thread_;
};

}  // namespace export_worker::http_shim
