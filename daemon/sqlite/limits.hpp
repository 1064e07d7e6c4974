// Limits of daemon/sqlite. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr int kDatabaseBusyTimeoutMs = 5'000;
inline constexpr std::int64_t kDatabaseJournalBytesMax = 16 * 1024 * 1024;
inline constexpr int kDatabaseCheckpointPages = 2'000;
// Of disk, for the log of a database whose small writes must succeed on a full disk: more than it
// grows to before its checkpoint (4,120 bytes a page).
inline constexpr std::int64_t kDatabaseLogBytesReserved = 9 * 1024 * 1024;
inline constexpr int kDatabaseCopyPages = 1'024;  // Between two looks at whether to go on.
inline constexpr std::size_t kDatabaseGroupCommitMax = 256;  // Writes that share one commit.
// At once, of one database; a reader more waits. Above what exports hold, so that requests never
// wait for one of those.
inline constexpr std::size_t kDatabaseReadersMax = 32;
inline constexpr int kDatabaseWriterCacheKib = 8 * 1024;  // Pages kept in memory, of one database.

}  // namespace export_worker::limits
