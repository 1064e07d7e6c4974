#include "signing/content_disposition.hpp"

#include <algorithm>

#include "base/shared_limits.hpp"
#include "base/text.hpp"

namespace export_worker::signing {
namespace {

bool is_letter_or_digit(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

// Nothing in the name needs care: the common case, answered without a copy.
bool is_simple(std::string_view name) {
    return !name.empty() && name.size() <= limits::kFileNameBytesMax &&
           is_letter_or_digit(name[0]) && std::ranges::all_of(name, [](char c) {
               return is_letter_or_digit(c) || c == '.' || c == '-' || c == '_';
           });
}

// U+200E, U+200F, U+202A to U+202E, U+2066 to U+2069: they can make "gpj.exe" look like "exe.jpg".
bool is_bidi_control(std::string_view three_bytes) {
    if (three_bytes.size() < 3 || three_bytes[0] != '\xe2') return false;
    const char middle = three_bytes[1];
    const char last = three_bytes[2];
    return (middle == '\x80' &&
            (last == '\x8e' || last == '\x8f' || (last >= '\xaa' && last <= '\xae'))) ||
           (middle == '\x81' && last >= '\xa6' && last <= '\xa9');
}

// attr-char of RFC 8187, section 3.2.1.
bool is_attribute_character(char c) {
    return is_letter_or_digit(c) ||
           std::string_view("!#$&+-.^_`|~").find(c) != std::string_view::npos;
}

void append_extended(std::string& out, std::string_view name) {
    constexpr char kDigits[] = "0123456789ABCDEF";
    for (const char c : name) {
        if (is_attribute_character(c)) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += kDigits[byte >> 4];
            out += kDigits[byte & 15];
        }
    }
}

}  // namespace

std::string safe_filename(std::string_view name) {
    std::string out;
    while (!name.empty() && out.size() < limits::kFileNameBytesMax) {
        const std::string_view rest = name;
        const char c = name[0];
        std::size_t step = 1;
        if (static_cast<unsigned char>(c) < 0x80) {
            out += (has_control_characters({&c, 1}) || c == '/' || c == '\\') ? '_' : c;
        } else if (is_bidi_control(rest)) {
            out += '_';
            step = 3;
        } else {
            // The shortest valid piece is one character; a longer one could carry a control
            // character along.
            for (step = 2;
                 step <= 4 && (rest.size() < step || !is_valid_utf8(rest.substr(0, step)));
                 ++step) {
            }
            if (step > 4) {
                out += '_';
                step = 1;
            } else if (out.size() + step > limits::kFileNameBytesMax) {
                break;
            } else {
                out.append(rest.substr(0, step));
            }
        }
        name.remove_prefix(step);
    }
    const std::size_t begin = out.find_first_not_of(". ");
    const std::size_t end = out.find_last_not_of(". ");
    if (begin == std::string::npos) return "export";
    return out.substr(begin, end - begin + 1);
}

void append_content_disposition(std::string& out, std::string_view name) {
    out += "attachment; filename=\"";
    if (is_simple(name)) {
        out += name;
        out += '"';
        return;
    }
    const std::string safe = safe_filename(name);
    bool ascii = true;
    for (std::size_t index = 0; index < safe.size(); ++index) {
        const auto byte = static_cast<unsigned char>(safe[index]);
        if ((byte & 0xc0U) == 0x80U)
            continue;  // The rest of a character already replaced by one '_'.
        const bool plain = byte < 0x80 && byte != '"' && byte != '%';
        out += plain ? safe[index] : '_';
        ascii = ascii && plain;
    }
    out += '"';
    if (ascii) return;
    out += "; filename*=UTF-8''";
    append_extended(out, safe);
}

std::string content_disposition(std::string_view name) {
    std::string out;
    append_content_disposition(out, name);
    return out;
}

}  // namespace export_worker::signing
