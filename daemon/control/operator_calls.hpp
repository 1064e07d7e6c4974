// Requests of operators that a plugin answers. Each runs on a thread of its own: the plugin may not
// return, and the control socket has to answer the others, those that roll it back among them.
// Nothing here survives a crash.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/wake_event.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/wire_error.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::control {

// A request on the control socket, from its arrival to its audit line.
struct OperatorRequest {
    transport::Envelope envelope;
    transport::PeerCredentials peer;
    std::string body;
    SteadyTime began;
    std::string reply;
};

class OperatorCalls {
public:
    // Answers the request; on any thread, several at once.
    using Run = std::function<void(const message::Request& request, SteadyTime deadline,
                                   std::string& reply)>;

    // Both references outlive it. `finished` is signalled when take_answered() has something to
    // take.
    OperatorCalls(Run run, const Clock& clock, const WakeEvent& finished);
    ~OperatorCalls();  // Only after a stop() that returned 0.
    OperatorCalls(const OperatorCalls&) = delete;
    OperatorCalls& operator=(const OperatorCalls&) = delete;

    // Begins the request. An error: kExpired, or kOverloaded when kOperatorCallsMax run; the
    // request is then as it was. [one-owner], as all that follows
    [[nodiscard]] std::optional<message::WireError> begin(OperatorRequest& request);
    // Those that have ended, and those whose deadline has passed: they get deadline_exceeded, their
    // threads go on.
    [[nodiscard]] std::vector<OperatorRequest> take_answered();
    // Until the next deadline; at most `longest`.
    [[nodiscard]] std::chrono::milliseconds wait_timeout(std::chrono::milliseconds longest) const;
    // Waits at most `timeout` for those that run. Returns how many still do: they go on to use what
    // `run` uses. May be called again.
    [[nodiscard]] unsigned stop(std::chrono::milliseconds timeout);

private:
    struct Call;
    // Shared with the threads.
    struct Running {
        std::mutex mutex;
        std::condition_variable changed;
        unsigned count = 0;  // Guarded by mutex.
    };
    void start(const std::shared_ptr<Call>& call);

    const Run run_;
    const Clock& clock_;
    const WakeEvent& finished_;
    const std::shared_ptr<Running> running_ = std::make_shared<Running>();
    std::vector<std::shared_ptr<Call>> unanswered_;  // In the order of their arrival.
};

}  // namespace export_worker::control
