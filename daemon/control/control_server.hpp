// The thread behind the control socket. Every process that may open the socket file is an operator.
#pragma once

#include <atomic>
#include <thread>

#include "base/wake_event.hpp"
#include "daemon/control/control_methods.hpp"
#include "daemon/control/operator_calls.hpp"
#include "daemon/control/pending_audits.hpp"
#include "daemon/server/dispatcher.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::control {

class ControlServer {
public:
    // Everything outlives the server. Starts its thread.
    ControlServer(transport::ServerSocket socket, const ControlDeps& deps,
                  const server::Dispatcher& dispatcher);
    ~ControlServer();  // stop(), after which no call may be left: see there.
    // Finishes the request at hand, and waits at most kOperatorCallsEndTimeout for plugins. Returns
    // how many calls are stuck in one. When that is not 0, they go on to use this server and
    // everything it was made from: the caller must end the process without destroying any of them.
    // May be called again. [one-owner]
    [[nodiscard]] unsigned stop();
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

private:
    void run();
    void receive_requests(plugins::PinSlot& slot);
    // Answers the request, or begins it when a plugin answers it.
    void answer(OperatorRequest& request, plugins::PinSlot& slot);
    [[nodiscard]] bool is_for_plugin(std::string_view method, plugins::PinSlot& slot) const;
    void run_method(const message::Request& request, const transport::PeerCredentials& peer,
                    std::string& reply);
    // A method of the data socket, as an operator.
    void run_own(const message::Request& request, std::string& reply) const;
    void run_plugin(const message::Request& request, SteadyTime deadline, std::string& reply) const;
    // Writes the audit line and sends the reply.
    void finish(const OperatorRequest& request);

    transport::ServerSocket socket_;  // The thread's.
    const ControlDeps deps_;
    const server::Dispatcher& dispatcher_;
    PendingAudits pending_audits_{deps_};  // The thread's.
    std::atomic<bool> stopping_{false};
    WakeEvent wake_;
    OperatorCalls plugin_calls_;  // The thread's; stop() is for the owner, once that has ended.
    std::thread thread_;
};

}  // namespace export_worker::control
