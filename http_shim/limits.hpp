// Limits of http_shim. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

#include "protocol/message/limits.hpp"

namespace export_worker::limits {

inline constexpr std::size_t kHttpHeaderBytesMax =
    16 * 1024;  // Above a credential, below nonsense.
inline constexpr std::size_t kHttpHeaderFieldsMax = 64;
inline constexpr std::size_t kHttpTargetBytesMax = 2048;
inline constexpr std::size_t kHttpBodyBytesMax = kRequestBytesMax - 64 * 1024;
inline constexpr std::size_t kHttpConnectionsMax = 4096;
inline constexpr std::size_t kHttpRequestsPerConnectionMax = 1000;
inline constexpr std::chrono::seconds kHttpHeaderTimeout{5};
inline constexpr std::chrono::seconds kHttpBodyTimeout{10};
inline constexpr std::chrono::seconds kHttpIdleTimeout{30};
inline constexpr std::chrono::seconds kHttpWriteTimeout{30};  // Without any progress.
inline constexpr std::chrono::seconds kHttpDrainTimeout{10};
inline constexpr int kHttpRetryAfterSeconds = 1;
inline constexpr std::size_t kHttpBodyBytesInFlightMax =
    64 * 1024 * 1024;                                   // All bodies; more: 503.
inline constexpr std::size_t kHttpRateMax = 1'000'000;  // Bound of the configured rates, a second.

}  // namespace export_worker::limits
