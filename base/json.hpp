// JSON text and msgpack to values and back. The parsers and serializers of nlohmann/json are
// compiled in json.cpp alone; a source that includes this header pays for the values it uses only.
// Sources include it; headers name values through <nlohmann/json_fwd.hpp>.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <nlohmann/json.hpp>

#include "base/result.hpp"

extern template class nlohmann::basic_json<>;

namespace export_worker {

// What a text from outside may hold. All of it is checked before a value is stored.
struct JsonBounds {
    std::size_t depth_max;  // Objects and arrays inside each other; the outermost is 1.
    std::size_t
        values_max;  // Values of every kind, containers included; member names do not count.
    // Two readers of an object that names a member twice may see two different things.
    bool names_unique = false;
    std::size_t name_bytes_max = SIZE_MAX;  // The longest name of a member.
};
// Reads a text from a stranger in one pass: time and memory grow in step with its size.
// Errors: kInvalidArgument, saying which bound it passed or that it is not JSON.
[[nodiscard]] Result<nlohmann::json> parse_json(std::string_view text, const JsonBounds& bounds);

// For texts of our own, or of a size that the caller has bounded: a discarded value
// (is_discarded()) when `text` is not JSON.
[[nodiscard]] nlohmann::json parse_json(std::string_view text);
// The same; throws nlohmann::json::parse_error, whose text names the position.
[[nodiscard]] nlohmann::json parse_json_or_throw(std::string_view text);
// One line. What is not UTF-8 becomes U+FFFD.
[[nodiscard]] std::string dump_json(const nlohmann::json& value);

// A discarded value when `bytes` are not exactly one msgpack value.
[[nodiscard]] nlohmann::json parse_msgpack(std::string_view bytes);
[[nodiscard]] std::string dump_msgpack(const nlohmann::json& value);

}  // namespace export_worker
