#include "base/redact.hpp"

#include <algorithm>
#include <array>
#include <cstddef>
#include <utility>

namespace export_worker {
namespace {

constexpr std::string_view kHidden = "(hidden)";
// A text that is encoded more often is no pasted URL.
constexpr int kDecodingsMax = 4;
// So many characters behind "mo_" or "mos_" are no accident, whatever stands in front.
constexpr std::size_t kTellingDigits = 8;
constexpr std::size_t kTellingTokenBytes = 20;
constexpr std::size_t kTellingJwtBytes = 10;

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}
bool is_hex(char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
}
bool is_base64url(char c) {
    return is_letter_or_digit(c) || c == '_' || c == '-';
}

std::string lower(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return out;
}

int hex_value(char c) {
    return c <= '9' ? c - '0' : c - 'a' + 10;
}

// `text` is in lower case. A % that begins no escape is kept.
std::string decode_percent(std::string_view text) {
    std::string out;
    for (std::size_t at = 0; at < text.size(); ++at) {
        const bool escape =
            text[at] == '%' && at + 2 < text.size() && is_hex(text[at + 1]) && is_hex(text[at + 2]);
        out += escape ? static_cast<char>(hex_value(text[at + 1]) << 4 | hex_value(text[at + 2]))
                      : text[at];
        if (escape) at += 2;
    }
    return out;
}

std::size_t run_of(std::string_view text, bool (*is_part)(char)) {
    return static_cast<std::size_t>(std::ranges::find_if_not(text, is_part) - text.begin());
}

// Whether `prefix` begins a word, or has at least `telling` characters of `is_part` behind it.
bool has_prefixed(std::string_view text, std::string_view prefix, std::size_t telling,
                  bool (*is_part)(char)) {
    for (std::size_t at = text.find(prefix); at != std::string_view::npos;
         at = text.find(prefix, at + 1)) {
        const std::string_view rest = text.substr(at + prefix.size());
        if (at == 0 || !is_letter_or_digit(text[at - 1]) || run_of(rest, is_part) >= telling)
            return true;
    }
    return false;
}

bool has_jwt(std::string_view text) {
    for (std::size_t at = text.find("eyj"); at != std::string_view::npos;) {
        const std::size_t bytes = run_of(text.substr(at), is_base64url);
        if (bytes >= kTellingJwtBytes && text.substr(at + bytes).starts_with('.')) return true;
        at = text.find("eyj", at + bytes);
    }
    return false;
}

bool names_secret(std::string_view name) {
    constexpr std::array<std::string_view, 9> kEnds{"signature", "token",  "secret",
                                                    "password",  "passwd", "api_key",
                                                    "api-key",   "apikey", "authorization"};
    return name == "sig" || name.ends_with("_sig") || name.ends_with("-sig") ||
           std::ranges::any_of(kEnds, [name](std::string_view end) { return name.ends_with(end); });
}

// "name=value" with a name that a secret has. What was cut out before is no secret.
bool has_secret_parameter(std::string_view text) {
    for (std::size_t at = text.find('='); at != std::string_view::npos;
         at = text.find('=', at + 1)) {
        std::size_t begin = at;
        while (begin > 0 && is_base64url(text[begin - 1])) --begin;
        if (!names_secret(text.substr(begin, at - begin))) continue;
        const std::string_view value = text.substr(at + 1, text.find('&', at) - at - 1);
        if (!value.empty() && value != "redacted") return true;
    }
    return false;
}

bool ends_word(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte <= 0x20 || byte == 0x7f || c == '"' || c == '\'';
}

}  // namespace

bool holds_credential(std::string_view text) {
    std::string form = lower(text);
    for (int decoded = 0; decoded <= kDecodingsMax; ++decoded) {
        if (has_prefixed(form, "mo_", kTellingDigits, is_hex) ||
            has_prefixed(form, "mos_", kTellingTokenBytes, is_base64url) || has_jwt(form) ||
            has_secret_parameter(form))
            return true;
        std::string next = lower(decode_percent(form));
        if (next == form) return false;
        form = std::move(next);
    }
    return false;
}

std::string hide_credentials(std::string_view text) {
    // Nearly all text has none of these.
    if (text.find_first_of("_%=.") == std::string_view::npos) return std::string(text);
    std::string out;
    while (!text.empty()) {
        const std::size_t bytes =
            static_cast<std::size_t>(std::ranges::find_if(text, ends_word) - text.begin());
        const std::string_view word = text.substr(0, bytes);
        out += holds_credential(word) ? kHidden : word;
        text.remove_prefix(bytes);
        if (text.empty()) break;
        out += text[0];
        text.remove_prefix(1);
    }
    return out;
}

}  // namespace export_worker
