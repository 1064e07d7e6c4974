// fsck and backup: begun here, run beside the socket, looked at with control.task.
#pragma once

#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// nullptr when `method` is none of them.
[[nodiscard]] ControlMethod find_care_method(std::string_view method);

}  // namespace export_worker::control
