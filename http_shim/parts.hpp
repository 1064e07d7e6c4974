// What all connections share, and one request as the log and the response's headers speak of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>

#include "base/rate_limiter.hpp"
#include "http_shim/access_log.hpp"
#include "http_shim/config.hpp"
#include "http_shim/connections.hpp"
#include "http_shim/coroutine.hpp"
#include "http_shim/daemon_link.hpp"
#include "http_shim/limits.hpp"
#include "http_shim/shim_metrics.hpp"

namespace export_worker::http_shim {

// Tests have shorter ones; docs/http.md explains them.
struct Timeouts {
    std::chrono::milliseconds head = limits::kHttpHeaderTimeout;
    std::chrono::milliseconds body = limits::kHttpBodyTimeout;
    std::chrono::milliseconds idle = limits::kHttpIdleTimeout;
    std::chrono::milliseconds write = limits::kHttpWriteTimeout;
    std::chrono::milliseconds write_to_proxy = limits::kHttpProxyWriteTimeout;
};

// Outlives the connections. [the io thread]
struct SessionParts {
    // `open` outlives the io_context, too, which ends the connections that are left.
    SessionParts(const Config& with, DaemonLink& link, Connections& open,
                 const std::string& version)
        : config(with),
          daemons(link),
          connections(open),
          metrics(version),
          by_address(with.address_rate, with.address_burst),
          by_credential(with.credential_rate, with.credential_burst) {}

    const Config& config;
    DaemonLink& daemons;
    Connections& connections;
    ShimMetrics metrics;
    AccessLog access_log;
    RateLimiter by_address;
    RateLimiter by_credential;
    Timeouts timeouts;
    bool draining = false;    // Every response closes its connection.
    std::uint64_t calls = 0;  // Makes message ids unique.
};

struct Exchange {
    std::string request_id;
    std::string traceparent;  // The step of the trace that is ours.
    std::string client;
    bool is_proxy = false;  // `client` is one, and who asked it is not known.
    Clock::time_point started = Clock::now();
    bool keep_alive = true;
    int status = 0;
    std::uint64_t bytes = 0;  // Of the body that was sent.
    bool complete = true;     // All of it was.
};

}  // namespace export_worker::http_shim
