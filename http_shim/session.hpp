// One connection: read a head, read its body, answer, again. The shortest way from request to
// reply.
#pragma once

#include <utility>  // awaitable.hpp of Boost 1.74 uses std::exchange without it.

#include <boost/asio/awaitable.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "http_shim/config.hpp"
#include "http_shim/daemon_link.hpp"

namespace export_worker::http_shim {

// What all connections share. Outlives them.
struct SessionParts {
    const Config& config;
    DaemonLink& link;
    bool draining = false;  // io thread: every response closes its connection.
    std::size_t connections = 0;
    std::size_t busy = 0;     // Requests between their head and the end of their response.
    std::uint64_t calls = 0;  // Makes message ids unique.
};

// Serves `socket` until either side ends it. [the io thread]
[[nodiscard]] boost::asio::awaitable<void> serve(boost::asio::ip::tcp::socket socket,
                                                 SessionParts& parts);

}  // namespace export_worker::http_shim
