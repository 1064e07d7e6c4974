// Limits of signing. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kFileKeyBytesMax = 1024;
inline constexpr std::int64_t kLinkLifetimeSecondsDefault = 900;
inline constexpr std::int64_t kLinkLifetimeSecondsMax = 604'800;  // Seven days, the bound of SigV4.
// Path and query of a request to the shim, and so of a link; no longer link is minted.
inline constexpr std::size_t kRequestTargetBytesMax = 2048;
inline constexpr std::size_t kContentTypeBytesMax = 127;  // A link leaves out a longer one.

}  // namespace export_worker::limits
