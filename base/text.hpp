// Checks on text from outside: UTF-8, control characters, identifiers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace export_worker {

// RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF.
[[nodiscard]] bool is_valid_utf8(std::string_view text);
// Any byte below 0x20 or 0x7f.
[[nodiscard]] bool has_control_characters(std::string_view text);
// 1 to kOrganizationIdBytesMax of A-Z a-z 0-9 . _ -, starting with a letter or digit: safe in a
// path.
[[nodiscard]] bool is_organization_id(std::string_view text);
// 1 to kIdempotencyKeyBytesMax of valid UTF-8 without control characters.
[[nodiscard]] bool is_idempotency_key(std::string_view text);
// Digits with at most one point between them, a sign in front allowed: "-5", "12.50".
[[nodiscard]] bool is_decimal(std::string_view text);
// Whole text, decimal, no sign, no leading blanks.
[[nodiscard]] std::optional<std::uint64_t> parse_unsigned(std::string_view text);
// For messages: at most `bytes_max` bytes, control characters and invalid UTF-8 as '?'.
[[nodiscard]] std::string printable(std::string_view text, std::size_t bytes_max = 80);
// For terminals: the text with control characters (C0, DEL, C1), line separators and bidirectional
// controls (U+2028 to U+202E, U+2066 to U+2069) as \n, \r, \t or \u001b, and bytes that are not
// UTF-8 as \xff. Valid JSON stays the same value. Doing it twice changes nothing.
[[nodiscard]] std::string escape_controls(std::string_view text);
// The longest valid UTF-8 prefix of at most `bytes_max` bytes.
[[nodiscard]] std::string_view utf8_prefix(std::string_view text, std::size_t bytes_max);
// Without the line ends behind it, which a secret's file has from its editor.
[[nodiscard]] std::string without_line_end(std::string text);
// The candidate closest to `word`, when it is close enough to be a typing error.
[[nodiscard]] std::optional<std::string_view> closest(std::string_view word,
                                                      const std::string_view* candidates,
                                                      std::size_t count);

}  // namespace export_worker
