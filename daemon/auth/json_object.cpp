#include "daemon/auth/json_object.hpp"

#include <set>

#include "base/json.hpp"
#include "daemon/auth/limits.hpp"

namespace export_worker::auth {

using nlohmann::json;

std::optional<json> parse_object(std::string_view text) {
    std::vector<std::set<std::string>> names;
    bool good = true;
    const auto check = [&](int depth, json::parse_event_t event, json& value) {
        if (event == json::parse_event_t::object_start) names.emplace_back();
        if (event == json::parse_event_t::object_end) names.pop_back();
        if (event == json::parse_event_t::key)
            good = names.back().insert(value.get<std::string>()).second && good;
        if (depth > static_cast<int>(limits::kJwtDepthMax)) good = false;
        return good;  // What is discarded is not looked into any more.
    };
    json out = json::parse(text.begin(), text.end(), check, false);
    if (!good || !out.is_object()) return std::nullopt;
    return out;
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
