// Limits of protocol/transport. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

namespace export_worker::limits {

inline constexpr std::size_t kEnvelopeFramesMax = 4;  // Routing id, correlation, delimiter, body.
inline constexpr std::size_t kEnvelopeBytesMax = 512;

inline constexpr int kSocketReceiveHighWater = 32;  // Messages per peer.
inline constexpr int kSocketSendHighWater = 64;
inline constexpr std::chrono::milliseconds kHandshakeTimeout{3'000};
inline constexpr std::chrono::milliseconds kHeartbeatInterval{5'000};
inline constexpr std::chrono::milliseconds kHeartbeatTimeout{15'000};
inline constexpr std::chrono::milliseconds kSocketLinger{2'000};

inline constexpr std::size_t kPoolDaemonsMax = 16;  // At most 64: a bit each.

inline constexpr int kNoticeHighWater =
    10'000;  // Messages per subscriber; more are dropped for it.

inline constexpr std::size_t kCurveClientsMax = 1'000;  // Keys that may connect.

}  // namespace export_worker::limits
