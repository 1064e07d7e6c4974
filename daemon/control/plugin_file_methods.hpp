// A plugin file that an operator sends, which control.plugin_load and control.plugin_reload then
// name by its id.
#pragma once

#include <string_view>

#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// control.plugin_file_owner, _begin, _append; nullptr for others.
[[nodiscard]] ControlMethod find_plugin_file_method(std::string_view method);

// Whether `uid` may send code that the daemon runs: root and the daemon's own user, who could have
// put it where the configuration names it. Errors: kPermissionDenied.
[[nodiscard]] Result<void> check_sender(std::int64_t uid);

}  // namespace export_worker::control
