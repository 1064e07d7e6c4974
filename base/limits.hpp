// Limits of base itself, and of files that cross the control socket.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace export_worker::limits {

inline constexpr int kSocketBacklog = 512;
// When a sleep takes so much longer, the whole process was frozen.
inline constexpr std::chrono::milliseconds kFreezeMin{2'000};

inline constexpr std::size_t kHttpListenersMax = 16;
inline constexpr std::size_t kHttpTrustedProxiesMax = 64;
inline constexpr std::size_t kRateEntriesMax =
    100'000;  // Callers remembered; then all are forgotten.

// Less free space, and less than a twentieth of the file system: an alarm, and bad for doctor.
inline constexpr std::uint64_t kDiskFreeBytesMin = 256ULL * 1024 * 1024;
// Output of a program that is run for what it says; what is beyond is dropped.
inline constexpr std::size_t kCommandOutputBytesMax = 64 * 1024;
inline constexpr std::size_t kHttpProbeBytesMax =
    1024 * 1024;  // Answer of an address that is asked; what is beyond is dropped.
inline constexpr std::size_t kBackupFilesMax = 1'000;  // More: no backup is made.
inline constexpr std::size_t kBackupManifestBytesMax = 256 * 1024;
inline constexpr std::size_t kPluginFileBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kGoldenFileBytesMax = 1024 * 1024;
inline constexpr std::size_t kPluginPieceBytes =
    512 * 1024;  // Part of a plugin file in one request.

// A program that serves does not start where it may open fewer files.
inline constexpr std::uint64_t kDescriptorsMin = 128;

}  // namespace export_worker::limits
