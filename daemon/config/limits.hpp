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

// [database] of kind postgres. Two connections more hold the lease.
inline constexpr std::size_t kDatabaseConnectionsDefault = 8;
inline constexpr std::size_t kDatabaseConnectionsMin = 2;
inline constexpr std::size_t kDatabaseConnectionsMax = 64;
inline constexpr std::chrono::seconds kDatabaseLeaseDefault{10};
inline constexpr std::chrono::seconds kDatabaseLeaseMin{5};
inline constexpr std::chrono::seconds kDatabaseLeaseMax{60};
// Jobs whose file is remembered, so that a link to one costs no round trip; 0: none.
inline constexpr std::size_t kLookupCacheDefault = 100'000;
inline constexpr std::size_t kLookupCacheMax = 10'000'000;
// With [database] kind = postgres: threads that answer requests wait for a round trip.
inline constexpr unsigned kServerWorkersSharedDefault = 32;
inline constexpr std::size_t kInstanceNameBytesMax = 64;

}  // namespace export_worker::limits
