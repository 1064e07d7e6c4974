// API keys, members and sessions.
#pragma once

#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// nullptr when `method` is none of them.
[[nodiscard]] ControlMethod find_identity_method(std::string_view method);

}  // namespace export_worker::control
