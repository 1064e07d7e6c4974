#include "signing/percent_encoding.hpp"

#include <array>
#include <cstdint>
#include <cstring>

#include "base/hex.hpp"

namespace export_worker::signing {
namespace {

// What a byte becomes: up to three characters, and how many.
struct Encoded {
    char characters[3];
    std::uint8_t size;
};
static_assert(sizeof(Encoded) == 4);
using Table = std::array<Encoded, 256>;

constexpr bool is_unreserved(std::size_t byte) {
    const auto c = static_cast<char>(byte);
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("-._~").find(c) != std::string_view::npos;
}

constexpr Table make_table(bool keep_slash) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    Table table{};
    for (std::size_t byte = 0; byte < table.size(); ++byte) {
        if (is_unreserved(byte) || (keep_slash && byte == '/')) {
            table[byte] = {{static_cast<char>(byte), 0, 0}, 1};
        } else {
            table[byte] = {{'%', kDigits[byte >> 4U], kDigits[byte & 15U]}, 3};
        }
    }
    return table;
}
constexpr Table kText = make_table(false);
constexpr Table kPath = make_table(true);

// Room for the worst case first; then every byte is one lookup and one store of four characters, of
// which the next byte overwrites what is too much.
void append_encoded(std::string& out, std::string_view text, const Table& table) {
    const std::size_t before = out.size();
    out.resize(before + 3 * text.size() + 1);
    char* to = out.data() + before;
    for (const char c : text) {
        const Encoded& encoded = table[static_cast<unsigned char>(c)];
        std::memcpy(to, &encoded, sizeof encoded);
        to += encoded.size;
    }
    out.resize(static_cast<std::size_t>(to - out.data()));
}

}  // namespace

void append_percent_encoded(std::string& out, std::string_view text) {
    append_encoded(out, text, kText);
}
void append_percent_encoded_path(std::string& out, std::string_view path) {
    append_encoded(out, path, kPath);
}

std::string percent_encode(std::string_view text) {
    std::string out;
    append_encoded(out, text, kText);
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
