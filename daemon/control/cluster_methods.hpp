// The daemons that share one database, for operators.
#pragma once

#include <string_view>

#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// control.cluster_status, control.cluster_evict; nullptr for others.
[[nodiscard]] ControlMethod find_cluster_method(std::string_view method);

}  // namespace export_worker::control
