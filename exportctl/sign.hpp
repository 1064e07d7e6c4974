// `exportctl sign`: one JSON request a line in, one signed URL a line out. Offline.
#pragma once

#include <string_view>
#include <nlohmann/json_fwd.hpp>

namespace export_worker::exportctl {

// {"url": ...}, with `explain` also what was signed; or {"error": {"code", "message"}}.
[[nodiscard]] nlohmann::json sign_line(std::string_view line, bool explain);

}  // namespace export_worker::exportctl
