// How a dead peer over TCP is noticed. Private to protocol/transport.
//
// By the kernel, not by ZeroMQ's heartbeats: those abort the process when a connection has ended
// while its input was stopped, because the receiving queue was full ("Assertion failed:
// !_io_error", zeromq/libzmq#4364 and #4767). That is what a process finds that was frozen and goes
// on.
#pragma once

#include <zmq.hpp>

#include "protocol/transport/limits.hpp"

namespace export_worker::transport {

inline void set_keepalive(zmq::socket_t& socket) {
    socket.set(zmq::sockopt::tcp_keepalive, 1);
    socket.set(zmq::sockopt::tcp_keepalive_idle, static_cast<int>(limits::kKeepaliveIdle.count()));
    socket.set(zmq::sockopt::tcp_keepalive_intvl,
               static_cast<int>(limits::kKeepaliveInterval.count()));
    socket.set(zmq::sockopt::tcp_keepalive_cnt, limits::kKeepaliveProbes);
    socket.set(zmq::sockopt::tcp_maxrt, static_cast<int>(limits::kTcpUnackedMax.count()));
}

}  // namespace export_worker::transport
