// Refusals and parameters of control methods.
#pragma once

#include <string>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::control {

// Operators see the whole text, paths included: it is what they need.
[[nodiscard]] tl::unexpected<message::WireError> refuse(const Error& error);
[[nodiscard]] tl::unexpected<message::WireError> bad(std::string what);

// A text parameter; empty when it is absent or no text.
[[nodiscard]] std::string text_of(const nlohmann::json& params, const char* name);
// A flag; false when it is absent or no boolean.
[[nodiscard]] bool flag_of(const nlohmann::json& params, const char* name);

}  // namespace export_worker::control
