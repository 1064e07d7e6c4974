#include "daemon/auth/json_object.hpp"

#include "base/json.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {

using nlohmann::json;

std::optional<json> parse_object(std::string_view text) {
    auto out = parse_json(text, {limits::kJwtDepthMax, limits::kJwtValuesMax, true});
    if (!out || !out->is_object()) return std::nullopt;
    return std::move(*out);
}

std::optional<std::string> text_in(const json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_string()) return std::nullopt;
    return found->get<std::string>();
}

const json& object_in(const json& object, const char* name) {
    static const json empty = json::object();
    const auto found = object.find(name);
    return found == object.end() || !found->is_object() ? empty : *found;
}

std::optional<std::vector<std::string>> texts_in(const json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end() || !found->is_array()) return std::nullopt;
    std::vector<std::string> out;
    for (const json& each : *found) {
        if (!each.is_string()) return std::nullopt;
        out.push_back(each.get<std::string>());
    }
    return out;
}

}  // namespace export_worker::auth
