// Limits of protocol/message. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kRequestBytesMax = 1024 * 1024;  // Larger: too_large.
inline constexpr std::size_t kMessageDepthMax = 32;  // Of a request, which is one level itself.
// What a request brings comes back deeper: a list of jobs with their metadata.
inline constexpr std::size_t kReplyDepthMax = kMessageDepthMax + 8;
inline constexpr std::size_t kMessageNodesMax = 65'536;
inline constexpr std::size_t kMessageKeyBytesMax = 128;
inline constexpr std::size_t kRequestIdBytesMax = 64;
inline constexpr std::size_t kMethodBytesMax = 64;
inline constexpr std::size_t kTraceBytesMax = 64;
inline constexpr std::size_t kClientAddressBytesMax = 64;
inline constexpr std::uint32_t kDeadlineDefaultMs = 10'000;
inline constexpr std::uint32_t kDeadlineMaxMs = 60'000;

}  // namespace export_worker::limits
