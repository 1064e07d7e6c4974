// Refusals and parameters of control methods.
#pragma once

#include <string>
#include <nlohmann/json.hpp>

#include "base/result.hpp"
#include "protocol/message/wire_error.hpp"

namespace export_worker::control {

// Operators see the whole text, paths included: it is what they need.
[[nodiscard]] inline tl::unexpected<message::WireError> refuse(const Error& error) {
    message::WireError out = message::from_error(error);
    out.message = error.message;
    return tl::unexpected(std::move(out));
}
[[nodiscard]] inline tl::unexpected<message::WireError> bad(std::string what) {
    return refuse(Error{ErrorCode::kInvalidArgument, std::move(what)});
}

// A text parameter; empty when it is absent or no text.
[[nodiscard]] inline std::string text_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_string() ? found->get<std::string>() : std::string();
}
[[nodiscard]] inline bool flag_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace export_worker::control
