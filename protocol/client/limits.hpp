// Limits of protocol/client. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kPoolCallsMax = 4096;  // In flight; more are refused.
inline constexpr std::size_t kPoolRequestsPerMessage = 64;
// Requests that leave in one message; one that is longer leaves alone.
inline constexpr std::size_t kPoolMessageBytesMax = 256 * 1024;
inline constexpr std::chrono::milliseconds kPoolPingInterval{250};
inline constexpr std::chrono::milliseconds kPoolPingTimeout{500};  // Then it does not answer.
// Pings in a row without an answer; then the daemon is silent, and nothing is sent to it until it
// answers. Counted, because time also passes while we are frozen ourselves.
inline constexpr int kPoolPingsMissedMax = 4;
inline constexpr std::chrono::milliseconds kPoolScanInterval{50};

}  // namespace export_worker::limits
