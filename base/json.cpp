#include "base/json.hpp"

template class nlohmann::basic_json<>;

namespace export_worker {

using nlohmann::json;

json parse_json(std::string_view text) {
    return json::parse(text.begin(), text.end(), nullptr, false);
}

json parse_json_or_throw(std::string_view text) {
    return json::parse(text.begin(), text.end());
}

std::string dump_json(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json parse_msgpack(std::string_view bytes) {
    return json::from_msgpack(bytes.begin(), bytes.end(), true, false);
}

std::string dump_msgpack(const json& value) {
    std::string bytes;
    json::to_msgpack(value, bytes);
    return bytes;
}

}  // namespace export_worker
