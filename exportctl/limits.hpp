// Limits of exportctl. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kImportBatchBytes = 512 * 1024;  // One message of `catalog import`.

// JSON as people write it; the daemon bounds what is in it.
inline constexpr std::size_t kTemplateFileBytesMax = 512 * 1024;
inline constexpr std::size_t kSignLineBytesMax = 1024 * 1024;  // Longer: an error in its place.
inline constexpr std::size_t kManInputBytesMax = 256 * 1024;   // What a manual page is made from.
// A longer line ends the command: it is no text.
inline constexpr std::size_t kLineBytesSkippedMax = 64 * 1024 * 1024;

}  // namespace export_worker::limits
