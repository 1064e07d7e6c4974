// Base64 in the two alphabets of RFC 4648.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace export_worker {

// Section 4: A-Z a-z 0-9 + /, with padding.
void append_base64(std::string& out, std::string_view bytes);
[[nodiscard]] std::string to_base64(std::string_view bytes);
// nullopt for anything but whole, padded, canonical groups.
[[nodiscard]] std::optional<std::string> from_base64(std::string_view text);

// Section 5: - and _ instead of + and /, without padding.
void append_base64url(std::string& out, std::string_view bytes);
// nullopt for padding, for another alphabet and for what no encoder writes.
[[nodiscard]] std::optional<std::string> from_base64url(std::string_view text);

}  // namespace export_worker
