// Limits of daemon/model. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr int kJobAttemptsDefault = 8;
inline constexpr int kJobAttemptsMax = 100;  // That a request may ask for.
inline constexpr int kOrganizationRunningDefault = 2;
inline constexpr int kOrganizationRunningMax = 1'000;
inline constexpr std::int64_t kOrganizationUnfinishedMax = 1'000'000;  // That a quota may name.
inline constexpr std::int64_t kOrganizationStoredBytesMax = std::int64_t{1} << 50;
inline constexpr int kOrganizationRequestsPerSecondMax = 1'000'000;
inline constexpr std::chrono::seconds kJobTimesMax{366 * 86'400};  // Deadlines, delays, silences.
inline constexpr std::chrono::milliseconds kJobRetryBaseDefault{5'000};
inline constexpr std::chrono::seconds kJobRetryMaxDefault{600};
inline constexpr std::chrono::seconds kJobAttemptLimitDefault{6 * 3'600};
inline constexpr std::chrono::seconds kJobStallLimitDefault{900};
inline constexpr std::chrono::seconds kJobDeadlineDefault{86'400};
inline constexpr std::chrono::seconds kFileRetentionDefault{7 * 86'400};
inline constexpr std::chrono::seconds kJobRetentionDefault{30 * 86'400};
inline constexpr std::size_t kExportKeysMax = 10'000;  // product_keys of one request.
inline constexpr std::size_t kExportColumnsMax = 2'000;
inline constexpr std::size_t kExportFilterTermsMax = 100;
inline constexpr std::size_t kExportNotesMax = 100;  // Of skipped rows, and of altered cells, each.

inline constexpr std::size_t kProductKeyBytesMax = 512;
inline constexpr std::size_t kProductDepthMax = 24;
inline constexpr std::size_t kProductVariantsMax = 2'000;
inline constexpr std::size_t kProductLabelsMax = 100;
inline constexpr std::size_t kPriceLineBytesMax = 16 * 1024;

inline constexpr std::size_t kFileWriteBufferBytes = 256 * 1024;

inline constexpr std::size_t kUploadPartBytesMax = 64 * 1024 * 1024;
inline constexpr std::chrono::seconds kOrphanGraceDefault{24 * 3'600};
inline constexpr std::chrono::seconds kOrphanSweepInterval{3'600};

inline constexpr std::chrono::seconds kClockToleranceDefault{5};
inline constexpr std::chrono::seconds kJwksRefreshDefault{300};
inline constexpr std::chrono::seconds kSessionCacheDefault{
    10};  // So long a revoked one still works.

}  // namespace export_worker::limits
