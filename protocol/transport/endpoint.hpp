// Endpoints as configured: "ipc:///run/export-worker/data.sock", and, only with CURVE,
// "tcp://10.0.0.5:7411".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::transport {

// The path of an ipc endpoint. Errors: kInvalidArgument (another scheme, a relative or over-long
// path).
[[nodiscard]] Result<std::string> ipc_path(std::string_view endpoint);

[[nodiscard]] bool is_tcp(std::string_view endpoint);
// The port of "tcp://ADDRESS:PORT". Errors: kInvalidArgument (another scheme, a name or "*" instead
// of an address, no port).
[[nodiscard]] Result<std::uint16_t> tcp_port(std::string_view endpoint);

}  // namespace export_worker::transport
