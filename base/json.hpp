// JSON text and msgpack to values and back. The parsers and serializers of nlohmann/json are
// compiled in json.cpp alone; a source that includes this header pays for the values it uses only.
// Sources include it; headers name values through <nlohmann/json_fwd.hpp>.
#pragma once

#include <string>
#include <string_view>
#include <nlohmann/json.hpp>

extern template class nlohmann::basic_json<>;

namespace export_worker {

// A discarded value (is_discarded()) when `text` is not JSON. Depth and number of values are the
// caller's to bound, by the size of what it passes.
[[nodiscard]] nlohmann::json parse_json(std::string_view text);
// The same; throws nlohmann::json::parse_error, whose text names the position.
[[nodiscard]] nlohmann::json parse_json_or_throw(std::string_view text);
// One line. What is not UTF-8 becomes U+FFFD.
[[nodiscard]] std::string dump_json(const nlohmann::json& value);

// A discarded value when `bytes` are not exactly one msgpack value.
[[nodiscard]] nlohmann::json parse_msgpack(std::string_view bytes);
[[nodiscard]] std::string dump_msgpack(const nlohmann::json& value);

}  // namespace export_worker
