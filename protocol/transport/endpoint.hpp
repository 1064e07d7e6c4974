// Endpoints as configured: "ipc:///run/export-worker/data.sock".
//
// Version 1 listens on Unix sockets only; tcp needs CURVE and is refused with that reason.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::transport {

// The path of an ipc endpoint. Errors: kInvalidArgument (another scheme, a relative or over-long
// path).
[[nodiscard]] Result<std::string> ipc_path(std::string_view endpoint);

}  // namespace export_worker::transport
