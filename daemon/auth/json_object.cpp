#include "daemon/auth/json_object.hpp"

#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {

using nlohmann::json;

std::optional<json> parse_object(std::string_view text) {
    auto out = parse_json(text, {limits::kJwtDepthMax, limits::kJwtValuesMax, true});
    if (!out || !out->is_object()) return std::nullopt;
    return std::move(*out);
}

const json& object_in(const json& object, const char* name) {
    static const json empty = json::object();
    const auto found = object.find(name);
    return found == object.end() || !found->is_object() ? empty : *found;
}

std::optional<std::vector<std::string>> texts_in(const json& object, const char* name) {
    const auto found = object.find(name);
    if (found == object.end()) return std::nullopt;
    auto out = texts_from(*found, name);
    return out ? std::optional(std::move(*out)) : std::nullopt;
}

}  // namespace export_worker::auth
