// Limits of base itself.
#pragma once

#include <cstddef>

namespace export_worker::limits {

inline constexpr int kSocketBacklog = 512;

inline constexpr std::size_t kHttpListenersMax = 16;
inline constexpr std::size_t kHttpTrustedProxiesMax = 64;
inline constexpr std::size_t kRateEntriesMax =
    100'000;  // Callers remembered; then all are forgotten.

}  // namespace export_worker::limits
