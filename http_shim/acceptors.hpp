// The listening sockets of the shim: those of [http] listen, made here or by systemd.
#pragma once

#include <list>
#include <string>
#include <vector>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/io_context.hpp>

#include "base/result.hpp"
#include "http_shim/config.hpp"
#include "http_shim/coroutine.hpp"

namespace export_worker::http_shim {

using Acceptor =
    boost::asio::basic_socket_acceptor<boost::asio::generic::stream_protocol, Executor>;

// Whether the IPv6 socket `where` is for IPv6 alone, because another entry has its port:
// "0.0.0.0:80 [::]:80". Without one, [::] takes IPv4 as well.
[[nodiscard]] bool leaves_ipv4(const std::string& where, const std::vector<std::string>& listen);

// Listens everywhere that [http] listen names. A socket that systemd hands over is used for the
// entry with its address, and "systemd" stands for all those that no other entry names. `context`
// must outlive what is returned. Errors: kUnavailable, an address in use or not there yet;
// kFailedPrecondition, an address that this user may not use, "systemd" without a socket, a socket
// of systemd that no entry names; kInvalidArgument; those of listen_on_unix().
// [the io thread, before it runs]
[[nodiscard]] Result<std::list<Acceptor>> open_acceptors(const Config& config,
                                                         boost::asio::io_context& context);

}  // namespace export_worker::http_shim
