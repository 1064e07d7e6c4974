// Identifiers that sort by creation time: UUID version 7 (RFC 9562, section 5.7).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace export_worker::crypto {

// 36 characters, lower case. Sorts by the microsecond; unpredictable in its 62 random bits. A time
// before 1970, as of a clock that was never set, counts as 1970. [any-thread]
[[nodiscard]] std::string make_uuid7(std::int64_t unix_us);

// Has the form of what make_uuid7() makes: hex digits in lower case, 8-4-4-4-12.
[[nodiscard]] bool is_uuid(std::string_view text);

}  // namespace export_worker::crypto
