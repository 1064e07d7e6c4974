// msgpack to JSON text in one pass, without a tree in between.
#pragma once

#include <string>
#include <string_view>

namespace export_worker::message {

// Appends one msgpack object as JSON (RFC 8259) without blanks, members in their order. Text that
// is not UTF-8 has U+FFFD for each byte that is none; a float that is no number is null. False: the
// bytes are no such object, or have bin, ext or a key that is no text; `out` is then as before.
// [any-thread]
[[nodiscard]] bool append_json(std::string& out, std::string_view msgpack);

}  // namespace export_worker::message
