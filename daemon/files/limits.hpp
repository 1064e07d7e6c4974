// Limits of daemon/files. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

// What puts the parts of an upload together may think for minutes before it answers.
inline constexpr std::chrono::seconds kUploadCompleteStall{600};
inline constexpr int kHttpTriesMax = 6;  // Of one request that can be repeated.

inline constexpr std::size_t kUploadPartsMax = 10'000;   // S3's own bound.
inline constexpr std::size_t kUploadBlocksMax = 50'000;  // Azure's own bound.
inline constexpr std::int64_t kUploadLinkSeconds = 900;  // What one request is signed for.

}  // namespace export_worker::limits
