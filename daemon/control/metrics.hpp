// The daemon in numbers, in the Prometheus text format (version 0.0.4).
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// Errors: those of the job store. [control thread]
[[nodiscard]] Result<std::string> metrics_text(const ControlParts& parts);

}  // namespace export_worker::control
