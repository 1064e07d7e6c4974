// Limits of protocol/transport. A name ends in unit and bound; the comment says what happens at it.
#pragma once

#include <chrono>
#include <cstddef>

#include "base/shared_limits.hpp"

namespace export_worker::limits {

inline constexpr std::size_t kEnvelopeFramesMax = 4;  // Routing id, correlation, delimiter, body.
inline constexpr std::size_t kEnvelopeBytesMax = 512;

// One message, all its frames; more: the connection is ended before they are in memory.
inline constexpr std::size_t kMessageFramesMax = 4'096;
inline constexpr std::size_t kMessageBytesMax = kTransportMessageBytesMax + 64 * 1024;

inline constexpr int kSocketReceiveHighWater = 32;  // Messages per peer.
inline constexpr int kSocketSendHighWater = 64;
// Replies that libzmq holds, of one peer and of all at one socket; more: kBusy. Counted are
// messages of at least so many bytes.
inline constexpr std::size_t kPeerBytesInFlightMax = 16 * 1024 * 1024;
inline constexpr std::size_t kBytesInFlightMax = 64 * 1024 * 1024;
inline constexpr std::size_t kCountedMessageBytesMin = 4 * 1024;
inline constexpr std::chrono::milliseconds kHandshakeTimeout{3'000};
// Of TCP connections: the kernel asks a peer that says nothing, and ends the connection without an
// answer. ZeroMQ's own heartbeats abort the process (docs/wire_protocol.md).
inline constexpr std::chrono::seconds kKeepaliveIdle{5};
inline constexpr std::chrono::seconds kKeepaliveInterval{5};
inline constexpr int kKeepaliveProbes = 2;
inline constexpr std::chrono::milliseconds kTcpUnackedMax{15'000};
inline constexpr std::chrono::milliseconds kSocketLinger{2'000};

inline constexpr std::size_t kPoolDaemonsMax = 16;  // At most 64: a bit each.

inline constexpr int kNoticeHighWater = 2'000;  // Messages per subscriber; more are dropped for it.

inline constexpr std::size_t kCurveClientsMax = 1'000;  // Keys that may connect.

}  // namespace export_worker::limits
