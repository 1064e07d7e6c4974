#include "base/hex.hpp"

namespace export_worker {
namespace {

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

}  // namespace

void append_hex(std::string& out, std::span<const std::uint8_t> bytes) {
    constexpr char kDigits[] = "0123456789abcdef";
    for (const std::uint8_t byte : bytes) {
        out += kDigits[byte >> 4];
        out += kDigits[byte & 15];
    }
}

std::string to_hex(std::span<const std::uint8_t> bytes) {
    std::string out;
    out.reserve(bytes.size() * 2);
    append_hex(out, bytes);
    return out;
}

Result<std::string> from_hex(std::string_view text) {
    if (text.size() % 2 != 0)
        return fail(ErrorCode::kInvalidArgument, "hex: expected an even number of digits");
    std::string out;
    out.reserve(text.size() / 2);
    for (std::size_t index = 0; index < text.size(); index += 2) {
        const int high = digit_value(text[index]);
        const int low = digit_value(text[index + 1]);
        if (high < 0 || low < 0) {
            return fail(ErrorCode::kInvalidArgument, "hex: expected only 0-9 and a-f");
        }
        out += static_cast<char>((high << 4) | low);
    }
    return out;
}

}  // namespace export_worker
