// One connection: read a head, read its body, answer, again. The shortest way from request to
// reply.
#pragma once

#include <string>
#include <unordered_map>

#include "base/rate_limiter.hpp"
#include "http_shim/config.hpp"
#include "http_shim/coroutine.hpp"
#include "http_shim/daemon_link.hpp"
#include "http_shim/shim_metrics.hpp"

namespace export_worker::http_shim {

// What all connections share. Outlives them. [the io thread]
struct SessionParts {
    SessionParts(const Config& with, DaemonLink& link, const std::string& version)
        : config(with),
          daemons(link),
          metrics(version),
          by_address(with.address_rate, with.address_burst),
          by_credential(with.credential_rate, with.credential_burst) {}

    const Config& config;
    DaemonLink& daemons;
    ShimMetrics metrics;
    RateLimiter by_address;
    RateLimiter by_credential;
    bool draining = false;  // Every response closes its connection.
    std::size_t connections = 0;
    std::unordered_map<std::string, std::size_t> connections_by_group;  // See limit_group().
    std::size_t busy = 0;        // Requests between their head and the end of their response.
    std::size_t body_bytes = 0;  // Of all requests being read or answered.
    std::uint64_t calls = 0;     // Makes message ids unique.
};

// Serves `socket` until either side ends it. `peer`: an address, or "unix". [the io thread]
[[nodiscard]] Awaitable<void> serve(Stream socket, std::string peer, SessionParts& parts);

}  // namespace export_worker::http_shim
