// Refusals and parameters of control methods.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>
#include <string>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::control {

// Operators see the whole text, paths included: it is what they need. A text that contains what
// looks like a key or a token is replaced.
[[nodiscard]] tl::unexpected<message::WireError> wire_error(const Error& error);

// A text parameter; empty when it is absent or no text.
[[nodiscard]] std::string text_of(const nlohmann::json& params, const char* name);
// A number of seconds; nullopt when it is absent. Errors: kInvalidArgument when it is no integer.
[[nodiscard]] Result<std::optional<std::chrono::seconds>> seconds_of(const nlohmann::json& params,
                                                                     const char* name);
// `limit`: how many rows a list may have at most; kPageRowsMax when it is absent. Errors:
// kInvalidArgument when it is not 1 to kPageRowsMax.
[[nodiscard]] Result<std::size_t> rows_max_of(const nlohmann::json& params);
// A flag; false when it is absent or no boolean.
[[nodiscard]] bool flag_of(const nlohmann::json& params, const char* name);

}  // namespace export_worker::control
