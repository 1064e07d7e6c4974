// A listening Unix socket for libzmq to serve, made here so that nobody's path is taken over and
// the file's mode is what was asked for. Private to protocol/transport.
#pragma once

#include <string>
#include <zmq.hpp>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::transport {

// The directory is created 0750 when missing; a socket file a crash has left is replaced. Errors:
// kFailedPrecondition when somebody listens there or the path is no socket, and those of the file
// system.
[[nodiscard]] Result<UniqueFd> listen_on(const std::string& path, unsigned socket_mode);
// Gives the listening socket to `socket`, which serves `endpoint` from then on. Throws what libzmq
// does; the listener is closed then.
void serve(zmq::socket_t& socket, const std::string& endpoint, UniqueFd listener);

}  // namespace export_worker::transport
