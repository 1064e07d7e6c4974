// The running daemon: every part, in construction order.
//
// Order matters twice. Starting: the lock before anything on disk, recovery before workers, plugins
// before the data socket, so that the first request already finds its method. Stopping is the
// reverse: no new work, then what is in flight, then exports (put back, not lost), then the
// databases.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "base/result.hpp"
#include "daemon/config/config.hpp"

namespace export_worker::app {

class Daemon {
public:
    // Errors: whatever stands in the way of a start, with what to do about it; kCancelled within
    // 100 ms after `is_cancelled` has become true while plugins are loaded. A plugin may be stuck
    // then: the caller must end the process without destroying what the start has left behind.
    [[nodiscard]] static Result<std::unique_ptr<Daemon>> start(
        const config::Config& config, const std::string& version,
        const std::function<bool()>& is_cancelled);
    ~Daemon();  // stop(), after which no worker may be left: see there.
    // Stops in the order above. Returns how many threads are stuck in a plugin. When that is not
    // 0, the rest still runs and they go on to use it: the caller must end the process without
    // destroying the daemon. What is on disk is consistent at any moment. May be
    // called again. [one-owner]
    [[nodiscard]] unsigned stop();
    // Takes over what can change while it runs (base/options/config_keys.cpp). The other keys that
    // have changed are named in the log as waiting for a restart. Errors: its own, or it cannot be
    // taken over. Then nothing has changed, and an alarm says so until one is taken over.
    [[nodiscard]] Result<void> reconfigure(const Result<config::Config>& config);
    Daemon(const Daemon&) = delete;
    Daemon& operator=(const Daemon&) = delete;

private:
    struct Parts;
    explicit Daemon(std::unique_ptr<Parts> parts);
    [[nodiscard]] Result<void> take_over(config::Config config);
    std::unique_ptr<Parts> parts_;
};

}  // namespace export_worker::app
