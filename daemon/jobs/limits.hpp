// Limits of daemon/jobs. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kJobMetadataBytesMax = 256 * 1024;
inline constexpr std::size_t kJobErrorsMax =
    200;  // Entries kept on a job, errors and warnings each.
inline constexpr std::size_t kJobTextBytesMax = 2048;  // Error text, stage, message.
inline constexpr int kJobInterruptionsMax = 50;
// Different ones among an organization's jobs of workers; a list looks at each of them.
inline constexpr std::int64_t kJobTypesMax = 100;
inline constexpr std::int64_t kJobEventsMax = 1'000;  // Of one job.
inline constexpr std::size_t kJobEventsPage = 500;
inline constexpr std::chrono::seconds kJobEventMerge{60};
inline constexpr std::size_t kEventsQueuedMax =
    10'000;  // Of links and downloads; more are dropped and counted.
inline constexpr std::chrono::milliseconds kEventsFlushInterval{250};
// Links and downloads that one write counts; requests get their turn between two.
inline constexpr std::size_t kAccessesBatch = 200;
// Text of one page of jobs, events or notices; a page that reaches it ends early, never without a
// row.
inline constexpr std::size_t kJobsPageBytesMax = 1024 * 1024;
// Jobs, files or notices that one write of housekeeping changes; requests get their turn between
// two.
inline constexpr std::size_t kHousekeepingBatch = 200;
inline constexpr std::chrono::milliseconds kHousekeepingInterval{1'000};
// Between two batches while there are more: so long, and at least so many times what the batch
// took.
inline constexpr std::chrono::milliseconds kHousekeepingPause{20};
inline constexpr int kHousekeepingPauseFactor = 4;
inline constexpr std::chrono::seconds kRetentionInterval{60};
// Files, jobs and notices that are too old, each: counted as far as this.
inline constexpr std::size_t kRetentionCountMax = 100'000;
// Retention that has not caught up for so long: an alarm.
inline constexpr std::chrono::seconds kRetentionBehindAlarm{3'600};
// How far the clock may be from the last time the daemon ran: half of the shortest retention,
// within these bounds. Beyond it, retention waits for an operator.
inline constexpr std::chrono::seconds kRetentionToleranceMin{3'600};
inline constexpr std::chrono::seconds kRetentionToleranceMax{86'400};
// After a reboot, time in which no daemon ran counts as at most this: only the wall clock knows it,
// and it may have been wrong before.
inline constexpr std::chrono::seconds kRegistryAwayMax{3'600};
// A withdrawn file is kept for the longest lifetime of a link, and so much longer: links are made
// from what is in memory for kFileCacheTime more, and the clocks of daemons differ.
inline constexpr std::chrono::seconds kFileDeletionMargin{6};
// Files of finished jobs in memory, with a shared database: how many and how much; those that were
// asked for least recently go first.
inline constexpr std::size_t kFileCacheEntriesDefault = 100'000;
inline constexpr std::size_t kFileCacheBytesMax = 64 * 1024 * 1024;
// They are used for so long after it was last known which files were withdrawn, and so often that
// is asked.
inline constexpr std::chrono::milliseconds kFileCacheTime{1'000};
inline constexpr std::chrono::milliseconds kFileChangesInterval{500};
// One who asks and has missed more of them forgets all files.
inline constexpr std::int64_t kFileChangesMax = 10'000;
// Which files were withdrawn is kept for so long; one who has not asked for half of it forgets all.
inline constexpr std::chrono::seconds kFileChangesKept{3'600};
// A job that is due so much longer goes before one of the next higher priority.
inline constexpr std::chrono::seconds kPriorityAge{3'600};
inline constexpr std::size_t kNoticesPage = 200;
// Who delivers a notice has so long; then another may deliver it.
inline constexpr std::chrono::seconds kDeliveryLease{30};
inline constexpr std::size_t kFsckPage = 500;
inline constexpr std::size_t kOrganizationsPage = 500;
// An external job that no worker has reported on for so long has failed; then it ages as others do.
inline constexpr std::chrono::seconds kExternalSilenceMax{30 * 86'400};
// A job that a daemon owns and does not run is put back after so long.
inline constexpr std::chrono::seconds kUnattendedMax{5};
// A write whose outcome is unknown is run so often before its caller is told.
inline constexpr int kOutcomeTriesMax = 3;
// Notices that one write numbers in a shared database, and changes of numbers of jobs that one adds
// up.
inline constexpr std::size_t kNoticesNumberedMax = 1'000;
inline constexpr std::size_t kCountChangesMax = 10'000;
// A claim that finds others' changes in its way looks so often before it finds nothing.
inline constexpr int kClaimLooksMax = 8;
inline constexpr int kJobCrashesMax = 5;  // Daemon deaths one job may cause before it is failed.

}  // namespace export_worker::limits
