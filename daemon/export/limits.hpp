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
inline constexpr std::chrono::milliseconds kHousekeepingInterval{1'000};
// Between two batches of files and jobs that are too old, while there are more.
inline constexpr std::chrono::milliseconds kHousekeepingPause{20};
// When a sleep takes so much longer, the whole process was frozen.
inline constexpr std::chrono::milliseconds kFreezeMin{2'000};
inline constexpr std::chrono::seconds kRetentionInterval{60};
// How far the clock may be from the last time the daemon ran: half of the shortest retention,
// within these bounds. Beyond it, retention waits for an operator.
inline constexpr std::chrono::seconds kRetentionToleranceMin{3'600};
inline constexpr std::chrono::seconds kRetentionToleranceMax{86'400};
inline constexpr std::size_t kTemplateNameBytesMax = 128;
inline constexpr std::size_t kExportTemplateBytesMax = 256 * 1024;

inline constexpr std::size_t kUploadRowBytesEstimate = 1'024;  // Of one product, when guessing.
inline constexpr std::chrono::seconds kOrphanSweepFirst{60};   // After the start.

}  // namespace export_worker::limits
