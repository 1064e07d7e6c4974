// `exportctl sign`: one JSON request a line in, one signed URL a line out. Offline.
#pragma once

#include <string>
#include <string_view>
#include <nlohmann/json_fwd.hpp>

namespace export_worker::exportctl {

// {"url": ...}, with `explain` also what was signed; or {"error": {"code", "message"}}.
[[nodiscard]] nlohmann::json sign_line(std::string_view line, bool explain);
// The answer to a line that cannot be read: kInvalidArgument with this message.
[[nodiscard]] nlohmann::json sign_error(std::string what);

}  // namespace export_worker::exportctl
