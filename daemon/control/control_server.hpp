// The thread behind the control socket. Whoever may open the socket file is an operator.
#pragma once

#include <atomic>
#include <thread>

#include "base/wake_event.hpp"
#include "daemon/control/control_methods.hpp"
#include "daemon/control/pending_audits.hpp"
#include "daemon/server/dispatcher.hpp"
#include "protocol/transport/server_socket.hpp"

namespace export_worker::control {

class ControlServer {
public:
    // Everything outlives the server. Starts its thread.
    ControlServer(transport::ServerSocket socket, const ControlParts& parts,
                  const server::Dispatcher& dispatcher);
    ~ControlServer();  // Finishes the request at hand.
    ControlServer(const ControlServer&) = delete;
    ControlServer& operator=(const ControlServer&) = delete;

private:
    void run();
    // Runs the request, and writes its audit line.
    void answer(const std::string& body, const transport::PeerCredentials& peer, std::string& reply,
                server::WorkerScratch& scratch);
    void run_method(const message::Request& request, const nlohmann::json& params,
                    std::string& reply, server::WorkerScratch& scratch);
    // A method of the data socket, as an operator.
    void dispatch(const message::Request& request, std::string& reply,
                  server::WorkerScratch& scratch);

    transport::ServerSocket socket_;  // The thread's.
    const ControlParts parts_;
    const server::Dispatcher& dispatcher_;
    PendingAudits pending_audits_{parts_};  // The thread's.
    std::atomic<bool> stopping_{false};
    WakeEvent wake_;
    std::thread thread_;
};

}  // namespace export_worker::control
