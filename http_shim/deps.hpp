// What all connections share, and one request as the log and the response's headers speak of it.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <utility>

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
struct SessionDeps {
    // `open` outlives the io_context, too, which ends the connections that are left.
    SessionDeps(Config with, DaemonLink& link, Connections& open, const std::string& version)
        : config(std::move(with)),
          started_with(config.values),
          daemons(link),
          connections(open),
          metrics(version),
          by_address(config.address_rate, config.address_burst),
          by_credential(config.credential_rate, config.credential_burst) {}

    Config config;  // SIGHUP replaces it: no reference into it lives across a co_await.
    const options::ConfigValues started_with;
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
