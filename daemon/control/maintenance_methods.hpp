// fsck, compact and prune: begun here, run beside the socket, looked at with control.task. And
// retention, let go on.
#pragma once

#include <string_view>
#include <nlohmann/json_fwd.hpp>

#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// nullptr when `method` is none of them.
[[nodiscard]] ControlMethod find_maintenance_method(std::string_view method);

[[nodiscard]] nlohmann::json fsck_json(const exports::FsckReport& report);

}  // namespace export_worker::control
