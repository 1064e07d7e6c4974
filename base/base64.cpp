#include "base/base64.hpp"

#include <cstdint>

namespace export_worker {
namespace {

constexpr char kStandard[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr char kUrl[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

void append(std::string& out, std::string_view bytes, const char* alphabet, bool padded) {
    const auto byte = [&](std::size_t index) -> std::uint32_t {
        return index < bytes.size() ? static_cast<std::uint8_t>(bytes[index]) : 0;
    };
    for (std::size_t index = 0; index < bytes.size(); index += 3) {
        const std::uint32_t group = byte(index) << 16U | byte(index + 1) << 8U | byte(index + 2);
        const std::size_t given = std::min<std::size_t>(bytes.size() - index, 3);
        for (std::size_t digit = 0; digit < 4; ++digit) {
            if (digit <= given) {
                out += alphabet[group >> (18 - 6 * digit) & 63U];
            } else if (padded) {
                out += '=';
            }
        }
    }
}

int value_of(char digit, const char* alphabet) {
    if (digit >= 'A' && digit <= 'Z') return digit - 'A';
    if (digit >= 'a' && digit <= 'z') return digit - 'a' + 26;
    if (digit >= '0' && digit <= '9') return digit - '0' + 52;
    if (digit == alphabet[62]) return 62;
    return digit == alphabet[63] ? 63 : -1;
}

// Without padding; it is the caller who knows how much there had to be.
std::optional<std::string> decode(std::string_view text, const char* alphabet) {
    if (text.size() % 4 == 1) return std::nullopt;
    std::string out;
    std::uint32_t group = 0;
    unsigned bits = 0;
    for (const char digit : text) {
        const int value = value_of(digit, alphabet);
        if (value < 0) return std::nullopt;
        group = group << 6U | static_cast<std::uint32_t>(value);
        bits += 6;
        if (bits < 8) continue;
        bits -= 8;
        out += static_cast<char>(group >> bits & 0xFFU);
    }
    // What is left over was padding: it must be zero, or two texts would mean the same bytes.
    if ((group & ((1U << bits) - 1)) != 0) return std::nullopt;
    return out;
}

}  // namespace

void append_base64(std::string& out, std::string_view bytes) {
    append(out, bytes, kStandard, true);
}

std::string to_base64(std::string_view bytes) {
    std::string out;
    append_base64(out, bytes);
    return out;
}

void append_base64url(std::string& out, std::string_view bytes) {
    append(out, bytes, kUrl, false);
}

std::optional<std::string> from_base64(std::string_view text) {
    if (text.size() % 4 != 0) return std::nullopt;
    std::size_t padding = 0;
    while (padding < 2 && text.ends_with('=')) {
        text.remove_suffix(1);
        ++padding;
    }
    return decode(text, kStandard);
}

std::optional<std::string> from_base64url(std::string_view text) {
    return decode(text, kUrl);
}

}  // namespace export_worker
