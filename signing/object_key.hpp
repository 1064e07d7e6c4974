// What the key of an object must be for a link to it to work.
#pragma once

#include <string_view>

#include "base/result.hpp"

namespace export_worker::signing {

// True for "a/../b", "./a", "..": segments that URL parsers, proxies and file systems act on.
[[nodiscard]] bool has_dot_segment(std::string_view path);

// Errors: kInvalidArgument, with the reason, for an empty key, one over kFileKeyBytesMax, and one
// no browser can fetch: WHATWG URL parsers take "." and ".." segments out of a path, encoded ones
// ("%2e") too, before they send it. Everything else is exact: "//", '%', '+', NFC and NFD.
[[nodiscard]] Result<void> check_object_key(std::string_view key);

}  // namespace export_worker::signing
