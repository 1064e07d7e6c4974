// What the parts of the daemon count, for its page of metrics.
#pragma once

#include "base/metrics/page.hpp"
#include "daemon/app/monitored_deps.hpp"

namespace export_worker::app {

// [any-thread]
void add_part_metrics(metrics::Page& page, const MonitoredDeps& deps);

}  // namespace export_worker::app
