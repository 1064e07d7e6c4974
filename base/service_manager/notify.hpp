// What a service tells systemd about itself (sd_notify(3), Type=notify). Without systemd, that is
// without NOTIFY_SOCKET, these functions do nothing. A message that cannot be sent is lost: no
// service ends because of it. Threads: [any-thread].
#pragma once

#include <chrono>
#include <optional>

namespace export_worker::service_manager {

void notify_ready();      // The start, or a reload, has ended: requests are answered.
void notify_reloading();  // notify_ready() must follow.
void notify_stopping();
void notify_alive();  // Puts off the watchdog.

// How long systemd waits for notify_alive() before it ends the service (WatchdogSec); std::nullopt:
// for ever.
[[nodiscard]] std::optional<std::chrono::microseconds> watchdog_timeout();

}  // namespace export_worker::service_manager
