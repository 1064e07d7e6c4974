// Limits of daemon/sqlite. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr int kDatabaseBusyTimeoutMs = 5'000;
inline constexpr std::int64_t kDatabaseJournalBytesMax = 16 * 1024 * 1024;
inline constexpr int kDatabaseCheckpointPages = 2'000;
// With less free, a disk is full to SQLite: a -shm file has 32 KiB, and a page comes with it.
inline constexpr std::uint64_t kDatabaseFullDiskBytes = 64 * 1024;
// Of disk, for the log of a database whose small writes must succeed on a full disk: more than it
// grows to before its checkpoint (4,120 bytes a page).
inline constexpr std::int64_t kDatabaseLogBytesReserved = 9 * 1024 * 1024;
// The log of a database. At this size the writer waits until no reader uses it, and empties it.
inline constexpr std::int64_t kDatabaseLogBytesMax = 64 * 1024 * 1024;
// The same while a copy is made for a backup, which uses the log until it ends. At this size the
// copy fails.
inline constexpr std::int64_t kDatabaseLogBytesCopyMax = 1024 * 1024 * 1024;
// For how long writes wait for the readers of a log that is too large, and when such a reader is
// stopped. After a wait in vain the log may grow by kDatabaseLogBytesMax before the next.
inline constexpr std::chrono::milliseconds kDatabaseLogWaitMax{3'000};
inline constexpr std::chrono::milliseconds kDatabaseReadOverLogMax{1'000};
inline constexpr std::chrono::milliseconds kDatabaseLogWaitStep{50};
// One read; it is stopped then, and its caller asked to want less or to try again later.
inline constexpr std::chrono::milliseconds kDatabaseReadTimeMax{5'000};
inline constexpr int kDatabaseReadSteps =
    1'000;  // Of SQLite's machine, between two looks at the time.
// Free pages that a database keeps for what comes next: an eighth of the file, at least so many.
// The writer gives the rest back to the disk, so many at a time, with a pause for what waits.
inline constexpr std::int64_t kDatabaseFreePagesMin = 1'024;
inline constexpr int kDatabaseShrinkPages = 128;
inline constexpr std::chrono::milliseconds kDatabaseShrinkPause{50};
inline constexpr std::chrono::milliseconds kDatabaseShrinkDelay{1'000};  // After a write.
// Of disk that a VACUUM leaves free.
inline constexpr std::int64_t kDatabaseCompactFreeBytesMin = 64 * 1024 * 1024;
inline constexpr int kDatabaseCopyPages = 1'024;  // Between two looks at whether to go on.
inline constexpr std::size_t kDatabaseErrorBytesMax = 512;   // Of SQLite's text in a message.
inline constexpr std::size_t kDatabaseGroupCommitMax = 256;  // Writes that share one commit.
// At once, of one database; a reader more waits. Above what exports hold, so that requests never
// wait for one of those.
inline constexpr std::size_t kDatabaseReadersMax = 32;
inline constexpr int kDatabaseWriterCacheKib = 8 * 1024;  // Pages kept in memory, of one database.

}  // namespace export_worker::limits
