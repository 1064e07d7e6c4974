#include "base/service_manager/notify.hpp"

#include <time.h>
#include <systemd/sd-daemon.h>

#include <cstdint>
#include <string>

namespace export_worker::service_manager {
namespace {

void notify(const char* state) {
    (void)::sd_notify(0, state);
}

}  // namespace

void notify_ready() {
    notify("READY=1");
}

void notify_reloading() {
    timespec now{};
    ::clock_gettime(CLOCK_MONOTONIC, &now);
    const std::int64_t us = std::int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1000;
    notify(("RELOADING=1\nMONOTONIC_USEC=" + std::to_string(us)).c_str());
}

void notify_stopping() {
    notify("STOPPING=1");
}

void notify_alive() {
    notify("WATCHDOG=1");
}

std::optional<std::chrono::microseconds> watchdog_timeout() {
    std::uint64_t us = 0;
    if (::sd_watchdog_enabled(0, &us) <= 0) return std::nullopt;
    return std::chrono::microseconds(us);
}

}  // namespace export_worker::service_manager
