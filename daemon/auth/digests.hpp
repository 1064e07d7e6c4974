// SHA-256s as databases have them: in hex digits.
#pragma once

#include <string>
#include <string_view>

#include "base/hex.hpp"
#include "base/result.hpp"

namespace export_worker::auth {

[[nodiscard]] inline std::string digest_to_hex(std::string_view sha256) {
    return to_hex({reinterpret_cast<const std::uint8_t*>(sha256.data()), sha256.size()});
}
// Errors: kDataLoss, naming the table.
[[nodiscard]] inline Result<std::string> digest_from_hex(std::string_view hex, const char* table) {
    auto digest = from_hex(hex);
    if (!digest) return fail(ErrorCode::kDataLoss, std::string(table) + ": an unreadable digest");
    return std::move(*digest);
}

}  // namespace export_worker::auth
