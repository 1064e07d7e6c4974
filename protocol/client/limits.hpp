// Limits of protocol/client. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kPoolCallsMax = 4096;  // In flight; more are refused.
inline constexpr std::size_t kPoolRequestsPerMessage = 64;
inline constexpr std::chrono::milliseconds kPoolPingInterval{250};
inline constexpr std::chrono::milliseconds kPoolPingTimeout{500};  // Then it does not answer.
inline constexpr std::chrono::milliseconds kPoolScanInterval{50};

}  // namespace export_worker::limits
