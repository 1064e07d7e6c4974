// Identifiers that sort by creation time: UUID version 7 (RFC 9562, section 5.7).
#pragma once

#include <cstdint>
#include <string>

namespace export_worker::crypto {

// 36 characters, lower case. Sorts by the microsecond; unpredictable in its 62 random bits.
// [any-thread]
[[nodiscard]] std::string make_uuid7(std::int64_t unix_us);

}  // namespace export_worker::crypto
