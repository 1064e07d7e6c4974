// Limits of daemon/export. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kFsckProblemsMax = 1'000;  // Shown; all are counted.
// Files that `fsck --apply` withdraws without --max-withdrawn: so many, or this share of all.
inline constexpr std::int64_t kFsckWithdrawnMin = 10;
inline constexpr std::int64_t kFsckWithdrawnPercentMax = 10;
inline constexpr std::chrono::milliseconds kJobPollInterval{1'000};
inline constexpr std::chrono::milliseconds kJobHeartbeatInterval{500};
// Between two tries to record how a job ended, while its registry cannot be written.
inline constexpr std::chrono::milliseconds kJobRecordInterval{1'000};
inline constexpr int kExportFailuresAlarm = 3;  // Attempts in a row, of any jobs: an alarm.
inline constexpr std::chrono::milliseconds kStallPollInterval{1'000};
inline constexpr std::chrono::milliseconds kSweepPollInterval{1'000};
// After a file that could not be deleted.
inline constexpr std::chrono::seconds kSweepRetryInterval{60};
// Expired files that could not be deleted for so long: an alarm.
inline constexpr std::chrono::seconds kSweepLateAlarm{3'600};
inline constexpr std::size_t kTemplateNameBytesMax = 128;
inline constexpr std::size_t kExportTemplateBytesMax = 256 * 1024;

inline constexpr std::size_t kUploadRowBytesEstimate = 1'024;  // Of one product, when guessing.
inline constexpr std::chrono::seconds kOrphanSweepFirst{60};   // After the start.

}  // namespace export_worker::limits
