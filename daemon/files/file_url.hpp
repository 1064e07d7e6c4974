// file:// URLs of local files, as jobs remember them.
#pragma once

#include <string>
#include <string_view>

namespace export_worker::files {

// "/var/lib/a b" becomes "file:///var/lib/a%20b". `absolute_path` starts with a slash.
[[nodiscard]] std::string to_file_url(std::string_view absolute_path);

}  // namespace export_worker::files
