// Limits of daemon/config. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr unsigned kServerWorkersMax = 64;

inline constexpr std::size_t kPluginGenerationsMax = 1024;  // Bound of [plugins] generations_max.

inline constexpr std::size_t kExportWorkersMax = 16;

inline constexpr std::size_t kStoresMax = 64;

inline constexpr std::size_t kUploadPartBytesDefault = 8 * 1024 * 1024;
inline constexpr std::size_t kUploadPartBytesMin = 5 * 1024 * 1024;  // S3's own bound.

inline constexpr std::chrono::seconds kClockToleranceMax{300};

inline constexpr std::size_t kTcpConnectionsMax = 10'000;

}  // namespace export_worker::limits
