#include "signing/percent_encoding.hpp"

#include <array>

#include "base/hex.hpp"

namespace export_worker::signing {
namespace {

constexpr std::array<bool, 256> make_unreserved() {
    std::array<bool, 256> table{};
    for (unsigned char c = 'a'; c <= 'z'; ++c) table[c] = true;
    for (unsigned char c = 'A'; c <= 'Z'; ++c) table[c] = true;
    for (unsigned char c = '0'; c <= '9'; ++c) table[c] = true;
    for (const char c : {'-', '.', '_', '~'}) table[static_cast<unsigned char>(c)] = true;
    return table;
}
constexpr auto kUnreserved = make_unreserved();

void append_encoded(std::string& out, std::string_view text, bool keep_slash) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (kUnreserved[byte] || (keep_slash && c == '/')) {
            out += c;
        } else {
            out += '%';
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
    }
}

}  // namespace

void append_percent_encoded(std::string& out, std::string_view text) {
    append_encoded(out, text, false);
}
void append_percent_encoded_path(std::string& out, std::string_view path) {
    append_encoded(out, path, true);
}

std::string percent_encode(std::string_view text) {
    std::string out;
    append_encoded(out, text, false);
    return out;
}

std::optional<std::string> percent_decode(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t index = 0; index < text.size(); ++index) {
        if (text[index] != '%') {
            out += text[index];
            continue;
        }
        const auto byte =
            index + 2 < text.size() ? from_hex(text.substr(index + 1, 2)) : Result<std::string>("");
        if (!byte || byte->size() != 1) return std::nullopt;
        out += *byte;
        index += 2;
    }
    return out;
}

}  // namespace export_worker::signing
