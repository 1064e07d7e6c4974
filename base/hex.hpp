// Hexadecimal text, lower case out, either case in.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker {

void append_hex(std::string& out, std::span<const std::uint8_t> bytes);
[[nodiscard]] std::string to_hex(std::span<const std::uint8_t> bytes);
// Errors: kInvalidArgument on odd length or a character that is no hex digit (the text is not
// repeated, it may be a secret).
[[nodiscard]] Result<std::string> from_hex(std::string_view text);

}  // namespace export_worker
