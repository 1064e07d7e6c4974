// Who decides about connections with CURVE (ZAP, RFC 27 of ZeroMQ): a thread on an inproc socket.
// Private to protocol/transport.
//
// A server socket whose context has no such handler lets every key in, so the handler is bound
// before the socket is, and the process does not outlive it.
#pragma once

#include <atomic>
#include <set>
#include <string>
#include <thread>
#include <zmq.hpp>

#include "base/result.hpp"

namespace export_worker::transport {

class ZapHandler {
public:
    // Reads the file and binds. Both outlive the handler; sockets of `context` are bound after it.
    // The file is read again when it changes; what cannot be read leaves the keys as they were.
    [[nodiscard]] static Result<std::unique_ptr<ZapHandler>> open(zmq::context_t& context,
                                                                  const std::string& clients_file);
    ~ZapHandler();
    ZapHandler(const ZapHandler&) = delete;
    ZapHandler& operator=(const ZapHandler&) = delete;

private:
    ZapHandler(zmq::context_t& context, const std::string& clients_file);
    void run();
    void look_at_file();
    void answer_one();

    const std::string clients_file_;
    zmq::socket_t socket_;           // The thread's, once it runs.
    std::string stamp_;              // The thread's, like the next.
    std::set<std::string> clients_;  // Public keys, Z85.
    std::atomic<bool> stopping_{false};
    std::thread thread_;
};

}  // namespace export_worker::transport
