// What is wrong with any part of the daemon, as alarms.
#pragma once

#include <vector>

#include "daemon/app/monitored_deps.hpp"
#include "daemon/model/alarm.hpp"

namespace export_worker::app {

// since_unix_us is 0 in all. Waits for the job registry, which it reads once. [any-thread]
[[nodiscard]] std::vector<model::Alarm> collect_alarms(const MonitoredDeps& deps);

}  // namespace export_worker::app
