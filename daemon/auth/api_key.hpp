// The text of a server API key: "mo_" ID "_" SECRET.
//
// ID finds the record, SECRET proves possession; only the SHA-256 of the whole text is stored. 256
// random bits need no slow hash.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace export_worker::auth {

struct NewApiKey {
    std::string id;      // 16 hex digits.
    std::string text;    // Shown once, to the operator who made it.
    std::string sha256;  // 32 bytes.
};

[[nodiscard]] NewApiKey make_api_key();
// The id in a key's text; nullopt when the text has not the shape of a key.
[[nodiscard]] std::optional<std::string_view> api_key_id(std::string_view text);
// A key, a part of one, or a key with something around it, in any case of letters: text that must
// not be shown to others.
[[nodiscard]] bool has_api_key(std::string_view text);

}  // namespace export_worker::auth
