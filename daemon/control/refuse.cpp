#include "daemon/control/refuse.hpp"

#include "base/json.hpp"

namespace export_worker::control {

tl::unexpected<message::WireError> refuse(const Error& error) {
    message::WireError out = message::from_error(error);
    out.message = error.message;
    return tl::unexpected(std::move(out));
}

tl::unexpected<message::WireError> bad(std::string what) {
    return refuse(Error{ErrorCode::kInvalidArgument, std::move(what)});
}

std::string text_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool flag_of(const nlohmann::json& params, const char* name) {
    const auto found = params.find(name);
    return found != params.end() && found->is_boolean() && found->get<bool>();
}

}  // namespace export_worker::control
