// A listening Unix socket (base/unix_socket.hpp) for libzmq to serve. Private to
// protocol/transport.
#pragma once

#include <string>
#include <zmq.hpp>

#include "base/unique_fd.hpp"
#include "protocol/transport/message_guard.hpp"

namespace export_worker::transport {

// Gives the listening socket to `socket`, which serves `endpoint` from then on. What comes back
// lives as long as `socket`. Throws what libzmq does; the listener is closed then.
[[nodiscard]] MessageGuard serve(zmq::socket_t& socket, const std::string& endpoint,
                                 UniqueFd listener);

}  // namespace export_worker::transport
