// JSON from outside, of which only a few members matter. Private to daemon/auth.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

namespace export_worker::auth {

// nullopt for what is no object, nests deeper than kJwtDepthMax, or names a member twice in one
// object: two readers of such a text may see two different things.
[[nodiscard]] std::optional<nlohmann::json> parse_object(std::string_view text);
// The member of that name when it is an object, else an empty one.
[[nodiscard]] const nlohmann::json& object_in(const nlohmann::json& object, const char* name);
// nullopt when the member is not an array of texts.
[[nodiscard]] std::optional<std::vector<std::string>> texts_in(const nlohmann::json& object,
                                                               const char* name);

}  // namespace export_worker::auth
