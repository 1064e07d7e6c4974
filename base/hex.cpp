#include "base/hex.hpp"

#include <array>
#include <cstring>

namespace export_worker {
namespace {

int digit_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

// Both digits of every byte.
constexpr auto kPairs = [] {
    constexpr char kDigits[] = "0123456789abcdef";
    std::array<std::array<char, 2>, 256> out{};
    for (std::size_t byte = 0; byte < out.size(); ++byte)
        out[byte] = {kDigits[byte >> 4U], kDigits[byte & 15U]};
    return out;
}();

}  // namespace

void append_hex(std::string& out, std::span<const std::uint8_t> bytes) {
    const std::size_t before = out.size();
    out.resize(before + 2 * bytes.size());
    char* to = out.data() + before;
    for (const std::uint8_t byte : bytes) {
        std::memcpy(to, kPairs[byte].data(), 2);
        to += 2;
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
