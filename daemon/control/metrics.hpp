// The daemon in numbers.
#pragma once

#include "base/metrics/page.hpp"
#include "base/result.hpp"
#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// Errors: those of the job store. [any-thread]
[[nodiscard]] Result<metrics::Page> metrics_page(const ControlDeps& deps);

}  // namespace export_worker::control
