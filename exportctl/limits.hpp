// Limits of exportctl. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr std::size_t kImportBatchBytes = 512 * 1024;  // One message of `catalog import`.
// Memory for the lines that `catalog import` sorts before it sends them.
inline constexpr std::size_t kImportChunkBytes = 64 * 1024 * 1024;

// How long `backup` waits for the end of another one: an exportctl that was killed, and the copies
// of the daemon for it, take a moment to end.
inline constexpr std::chrono::seconds kBackupBeginTimeout{5};
inline constexpr std::chrono::milliseconds kBackupBeginPause{200};  // Between two tries.

// JSON as people write it; the daemon bounds what is in it.
inline constexpr std::size_t kTemplateFileBytesMax = 512 * 1024;
inline constexpr std::size_t kSignLineBytesMax = 1024 * 1024;  // Longer: an error in its place.
inline constexpr std::size_t kManInputBytesMax = 256 * 1024;   // What a manual page is made from.
// A longer line ends the command: it is no text.
inline constexpr std::size_t kLineBytesSkippedMax = 64 * 1024 * 1024;

// Of `doctor`: one check, and within it one question and one run of a program.
inline constexpr std::chrono::seconds kDoctorCheckTimeout{60};
inline constexpr std::chrono::seconds kDoctorAskTimeout{5};
inline constexpr std::chrono::seconds kDoctorProgramTimeout{20};
// Free room and inodes below which `doctor` warns; it calls bad what is an alarm of the daemon.
inline constexpr std::uint64_t kDoctorFreePercentMin = 10;
// How far ahead of the clock the times of files may be.
inline constexpr std::chrono::seconds kDoctorClockTolerance{60};

}  // namespace export_worker::limits
