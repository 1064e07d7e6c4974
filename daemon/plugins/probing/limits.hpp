// Limits of daemon/plugins/probing. A name ends in unit and bound; the comment says what happens at
// it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kGoldenDepthMax = 64;  // Objects and arrays inside each other.
inline constexpr std::chrono::milliseconds kProbeTimeout{10'000};
inline constexpr std::uint64_t kProbeAddressSpaceBytes = std::uint64_t{1} << 30U;
inline constexpr std::uint64_t kProbeFilesMax = 64;
inline constexpr std::size_t kProbeOutputBytesMax = 64 * 1024;  // stdout and stderr of a candidate.
inline constexpr std::size_t kProbeReportBytesMax = 1024 * 1024;
inline constexpr std::chrono::milliseconds kProbeEndTimeout{2'000};  // Of what a probe started.
inline constexpr std::size_t kLoadDescriptors = 16;    // That must be free before a load.
inline constexpr std::size_t kLastingChangesMax = 16;  // That alarms name.
inline constexpr int kProbeRepeats = 256;  // Of one request, to see whether memory grows.

}  // namespace export_worker::limits
