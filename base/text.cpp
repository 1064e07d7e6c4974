#include "base/text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <vector>

#include "base/shared_limits.hpp"

namespace export_worker {
namespace {

// Bytes of the sequence that starts at `text[0]`, or 0 when it is not valid (RFC 3629, section 4).
std::size_t utf8_sequence_bytes(std::string_view text) {
    const auto at = [text](std::size_t index) { return static_cast<unsigned char>(text[index]); };
    const auto tail = [&](std::size_t index) { return (at(index) & 0xc0U) == 0x80U; };
    const unsigned lead = at(0);
    if (lead < 0x80) return 1;
    if (lead < 0xc2) return 0;
    if (lead < 0xe0) return text.size() >= 2 && tail(1) ? 2 : 0;
    if (lead < 0xf0) {
        if (text.size() < 3 || !tail(1) || !tail(2)) return 0;
        if (lead == 0xe0 && at(1) < 0xa0) return 0;
        if (lead == 0xed && at(1) > 0x9f) return 0;
        return 3;
    }
    if (lead < 0xf5) {
        if (text.size() < 4 || !tail(1) || !tail(2) || !tail(3)) return 0;
        if (lead == 0xf0 && at(1) < 0x90) return 0;
        if (lead == 0xf4 && at(1) > 0x8f) return 0;
        return 4;
    }
    return 0;
}

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

// The code point of a valid sequence of at most three bytes; 0 for a longer one, which is no
// control.
unsigned code_point(std::string_view sequence) {
    const auto bits = [sequence](std::size_t index, unsigned mask) {
        return static_cast<unsigned char>(sequence[index]) & mask;
    };
    switch (sequence.size()) {
        case 1: return bits(0, 0x7f);
        case 2: return bits(0, 0x1f) << 6 | bits(1, 0x3f);
        case 3: return bits(0, 0x0f) << 12 | bits(1, 0x3f) << 6 | bits(2, 0x3f);
        default: return 0;
    }
}

bool moves_the_terminal(unsigned code) {
    return code < 0x20 || (code >= 0x7f && code < 0xa0) || (code >= 0x2028 && code <= 0x202e) ||
           (code >= 0x2066 && code <= 0x2069);
}

std::string escape_of(unsigned code) {
    if (code == '\n') return "\\n";
    if (code == '\r') return "\\r";
    if (code == '\t') return "\\t";
    std::array<char, 8> out{};
    std::snprintf(out.data(), out.size(), "\\u%04x", code);
    return out.data();
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t diagonal = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t above = row[j];
            row[j] =
                std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0U : 1U)});
            diagonal = above;
        }
    }
    return row[b.size()];
}

}  // namespace

bool is_valid_utf8(std::string_view text) {
    while (!text.empty()) {
        // Eight bytes at a time while they are ASCII, as most text is.
        for (std::uint64_t word = 0; text.size() >= sizeof word; text.remove_prefix(sizeof word)) {
            std::memcpy(&word, text.data(), sizeof word);
            if ((word & 0x8080808080808080U) != 0) break;
        }
        if (text.empty()) return true;
        const std::size_t bytes = utf8_sequence_bytes(text);
        if (bytes == 0) return false;
        text.remove_prefix(bytes);
    }
    return true;
}

bool has_control_characters(std::string_view text) {
    return std::ranges::any_of(text, is_control);
}

bool is_organization_id(std::string_view text) {
    const auto letter_or_digit = [](char c) {
        return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    };
    if (text.empty() || text.size() > limits::kOrganizationIdBytesMax || !letter_or_digit(text[0]))
        return false;
    return std::ranges::all_of(
        text, [&](char c) { return letter_or_digit(c) || c == '.' || c == '_' || c == '-'; });
}

bool is_idempotency_key(std::string_view text) {
    return !text.empty() && text.size() <= limits::kIdempotencyKeyBytesMax && is_valid_utf8(text) &&
           !has_control_characters(text);
}

bool is_decimal(std::string_view text) {
    const auto digits = [](std::string_view part) {
        return !part.empty() &&
               std::ranges::all_of(part, [](char c) { return c >= '0' && c <= '9'; });
    };
    if (!text.empty() && (text.front() == '-' || text.front() == '+')) text.remove_prefix(1);
    const std::size_t point = text.find('.');
    return digits(text.substr(0, point)) &&
           (point == std::string_view::npos || digits(text.substr(point + 1)));
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
    std::uint64_t value = 0;
    const auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (status != std::errc() || end != text.data() + text.size() || text.empty())
        return std::nullopt;
    return value;
}

std::string printable(std::string_view text, std::size_t bytes_max) {
    std::string out;
    const bool cut = text.size() > bytes_max;
    while (!text.empty()) {
        const std::size_t bytes = utf8_sequence_bytes(text);
        const std::size_t step = bytes == 0 ? 1 : bytes;
        if (out.size() + step > bytes_max) break;
        if (bytes == 0 || (bytes == 1 && is_control(text[0]))) {
            out += '?';
        } else {
            out.append(text.substr(0, bytes));
        }
        text.remove_prefix(step);
    }
    if (cut) out += "...";
    return out;
}

std::string escape_controls(std::string_view text) {
    std::string out;
    out.reserve(text.size());
    while (!text.empty()) {
        const std::size_t bytes = utf8_sequence_bytes(text);
        const std::string_view sequence = text.substr(0, std::max<std::size_t>(bytes, 1));
        if (bytes == 0) {
            std::array<char, 8> byte{};
            std::snprintf(byte.data(), byte.size(), "\\x%02x",
                          static_cast<unsigned>(static_cast<unsigned char>(text[0])));
            out += byte.data();
        } else if (bytes <= 3 && moves_the_terminal(code_point(sequence))) {
            out += escape_of(code_point(sequence));
        } else {
            out += sequence;
        }
        text.remove_prefix(sequence.size());
    }
    return out;
}

std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max) {
    std::size_t used = 0;
    while (used < text.size()) {
        const std::size_t bytes = utf8_sequence_bytes(text.substr(used));
        if (bytes == 0 || used + bytes > bytes_max) break;
        used += bytes;
    }
    return text.substr(0, used);
}

std::string without_line_end(std::string text) {
    while (text.ends_with('\n') || text.ends_with('\r')) text.pop_back();
    return text;
}

std::optional<std::string_view> closest(std::string_view word, const std::string_view* candidates,
                                        std::size_t count) {
    std::optional<std::string_view> best;
    std::size_t best_distance = 1 + std::min<std::size_t>(3, word.size() / 3);
    for (std::size_t index = 0; index < count; ++index) {
        const std::size_t distance = edit_distance(word, candidates[index]);
        if (distance < best_distance) {
            best_distance = distance;
            best = candidates[index];
        }
    }
    return best;
}

}  // namespace export_worker
