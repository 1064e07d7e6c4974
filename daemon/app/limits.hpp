// Limits of daemon/app. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

// From the signal to the end of the process, whatever a plugin does; below TimeoutStopSec of
// etc/systemd/export-workerd.service.
inline constexpr std::chrono::seconds kStopTimeout{28};

// Of the write-ahead log of a database: an alarm. Twice kDatabaseLogBytesMax, at which it is
// emptied.
inline constexpr std::uint64_t kLogAlarmBytes = 128 * 1024 * 1024;

// With less free under state_dir no start succeeds: each database gets a -shm file and a log. The
// first start also makes the databases.
inline constexpr std::uint64_t kStartFreeBytesMin = 256 * 1024;
inline constexpr std::uint64_t kFirstStartFreeBytesMin = 1024 * 1024;

// The daemons of one database compare the hashes of some files. A file with more bytes counts as
// different.
inline constexpr std::size_t kHashedFileBytesMax = 1024 * 1024;

// Between two lines of progress of --migrate.
inline constexpr std::chrono::milliseconds kMigrateProgressPause{1'000};

// Organizations whose waiting jobs have a time series each; the rest share one.
inline constexpr std::size_t kQueuesShownMax = 20;

}  // namespace export_worker::limits
