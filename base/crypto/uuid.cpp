#include "base/crypto/uuid.hpp"

#include <algorithm>
#include <array>

#include "base/crypto/random.hpp"
#include "base/hex.hpp"

namespace export_worker::crypto {

std::string make_uuid7(std::int64_t unix_us) {
    unix_us = std::max(unix_us, std::int64_t{0});
    std::array<std::uint8_t, 16> bytes{};
    fill_id(bytes);
    const auto unix_ms = static_cast<std::uint64_t>(unix_us / 1000);
    for (std::size_t index = 0; index < 6; ++index) {
        bytes[index] = static_cast<std::uint8_t>(unix_ms >> (8 * (5 - index)));
    }
    // The twelve bits behind it are its fraction (RFC 9562, 6.2, method 3).
    const auto fraction = static_cast<std::uint64_t>(unix_us % 1000) * 4096 / 1000;
    bytes[6] = static_cast<std::uint8_t>((fraction >> 8) | 0x70U);
    bytes[7] = static_cast<std::uint8_t>(fraction);
    bytes[8] = static_cast<std::uint8_t>((bytes[8] & 0x3fU) | 0x80U);
    std::string out;
    out.reserve(36);
    for (std::size_t index = 0; index < bytes.size(); ++index) {
        if (index == 4 || index == 6 || index == 8 || index == 10) out += '-';
        append_hex(out, {&bytes[index], 1});
    }
    return out;
}

bool is_uuid(std::string_view text) {
    if (text.size() != 36) return false;
    for (std::size_t index = 0; index < text.size(); ++index) {
        const char c = text[index];
        const bool is_dash = index == 8 || index == 13 || index == 18 || index == 23;
        const bool is_hex = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
        if (is_dash ? c != '-' : !is_hex) return false;
    }
    return true;
}

}  // namespace export_worker::crypto
