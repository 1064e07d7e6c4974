// RFC 3986 percent-encoding, the one place that does it: A-Z a-z 0-9 - . _ ~ stay, every other byte
// becomes %XX with upper-case digits.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace export_worker::signing {

// Appends. A '/' is encoded too: for query names, values and single path segments.
void append_percent_encoded(std::string& out, std::string_view text);
// Appends. A '/' stays: for whole paths.
void append_percent_encoded_path(std::string& out, std::string_view path);
[[nodiscard]] std::string percent_encode(std::string_view text);
// nullopt for a '%' without two hex digits. '+' stays '+'.
[[nodiscard]] std::optional<std::string> percent_decode(std::string_view text);

}  // namespace export_worker::signing
