// A backup over the control socket: begun here, copied beside the socket (control.task tells how
// far it is), then fetched piece by piece.
#pragma once

#include <string_view>

#include "daemon/control/control_methods.hpp"

namespace export_worker::control {

// Whoever sends it has a backup from then on.
inline constexpr std::string_view kBackupBegin = "control.backup_begin";

// control.backup_begin, _manifest, _read, _end; nullptr for others.
[[nodiscard]] ControlMethod find_backup_method(std::string_view method);

}  // namespace export_worker::control
