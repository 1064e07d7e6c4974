// Limits of base itself, and of files that cross the control socket.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr int kSocketBacklog = 512;

inline constexpr std::size_t kHttpListenersMax = 16;
inline constexpr std::size_t kHttpTrustedProxiesMax = 64;
inline constexpr std::size_t kRateEntriesMax =
    100'000;  // Callers remembered; then all are forgotten.

// Of a program that is run to see what it says; the rest is dropped.
inline constexpr std::size_t kCommandOutputBytesMax = 64 * 1024;
inline constexpr std::size_t kHttpProbeBytesMax =
    1024 * 1024;                                       // Of an answer; the rest is dropped.
inline constexpr std::size_t kBackupFilesMax = 1'000;  // More: no backup is made.
inline constexpr std::size_t kBackupManifestBytesMax = 256 * 1024;
inline constexpr std::size_t kPluginFileBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kGoldenFileBytesMax = 1024 * 1024;
inline constexpr std::size_t kPluginPieceBytes =
    512 * 1024;  // Of a file that is sent, in one request.

}  // namespace export_worker::limits
