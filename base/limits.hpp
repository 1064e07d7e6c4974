// Limits of base itself.
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
    1024 * 1024;  // Of an answer; the rest is dropped.

}  // namespace export_worker::limits
