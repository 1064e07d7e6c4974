// Limits of http_shim. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

#include "protocol/message/limits.hpp"

namespace export_worker::limits {

inline constexpr std::size_t kHttpHeaderBytesMax =
    16 * 1024;  // Above a credential, below nonsense.
inline constexpr std::size_t kHttpHeaderFieldsMax = 64;
inline constexpr std::size_t kHttpBodyBytesMax = kRequestBytesMax - 64 * 1024;
// JSON values of one body; a message may hold more, but their tree costs the io thread 20 ms.
inline constexpr std::size_t kHttpBodyValuesMax = 20'000;
inline constexpr std::size_t kHttpConnectionsMax = 4096;  // Then the longest idle one is closed.
inline constexpr std::size_t kHttpReserveMax = 32;        // On top, for probes only.
inline constexpr std::size_t kHttpConnectionsPerAddressDefault = 256;
inline constexpr std::uint64_t kHttpRatePerAddressDefault = 500;  // Requests a second.
inline constexpr std::uint64_t kHttpBurstPerAddressDefault = 1000;
inline constexpr std::size_t kHttpRequestsPerConnectionMax = 1000;
inline constexpr std::chrono::seconds kHttpHeaderTimeout{5};
inline constexpr std::chrono::seconds kHttpBodyTimeout{10};
inline constexpr std::chrono::seconds kHttpIdleTimeout{30};
inline constexpr std::chrono::seconds kHttpIdleMargin{5};  // Clients are told so much less.
// While nothing is acknowledged. A reader of 20 kB/s with a receive buffer of 6 MB is told of new
// room only every 19 s.
inline constexpr std::chrono::seconds kHttpWriteTimeout{60};
// A proxy takes megabytes at once and then nothing until its reader has taken a third of them.
inline constexpr std::chrono::minutes kHttpProxyWriteTimeout{10};
// After the last answer of a connection, for what the peer still sends; then it may be reset.
inline constexpr std::chrono::seconds kHttpLingerTimeout{2};
inline constexpr std::size_t kHttpLingerBytesMax = 64 * 1024 * 1024;
inline constexpr std::chrono::seconds kHttpSayRefusedInterval{10};  // In the log.
// How long a start waits for a daemon before it is called ready without one.
inline constexpr std::chrono::seconds kHttpReadyTimeout{1};
// For each answer that --check-config waits for: of systemd, a listener, the daemons.
inline constexpr std::chrono::seconds kHttpCheckTimeout{2};
inline constexpr std::chrono::seconds kHttpDrainTimeout{10};
// Of it for the first bytes on connections that were accepted before; then they are closed.
inline constexpr std::chrono::seconds kHttpFirstRequestDrainTimeout{1};
inline constexpr int kHttpRetryAfterSeconds = 1;
// Bodies that have arrived and answers that wait for their peer, beyond the free ones; more: 503.
// A body takes up to kHttpBodyTimeout to come, from anyone: an address may have few at a time.
inline constexpr std::size_t kHttpBodiesHeldBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kHttpBodiesHeldPerAddressBytesMax = 2 * 1024 * 1024;
inline constexpr std::size_t kHttpAnswersHeldBytesMax = 64 * 1024 * 1024;
inline constexpr std::size_t kHttpAnswersHeldPerAddressBytesMax = 16 * 1024 * 1024;
inline constexpr std::size_t kHttpBytesFree = 16 * 1024;  // Of each body and each answer.
// A request that takes so long always has its line in the access log.
inline constexpr std::chrono::seconds kHttpSlowMin{1};
inline constexpr std::uint64_t kHttpAccessLogSampleMax = 1'000'000;
inline constexpr std::size_t kHttpRateMax = 1'000'000;  // Bound of the configured rates, a second.

}  // namespace export_worker::limits
