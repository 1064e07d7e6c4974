// The server's end: a ROUTER socket on a Unix path, so that a plain REQ socket in any language
// works; and, when asked for, one on TCP, for those who hold a key (CURVE).
//
// The listening socket is made here, not by libzmq: libzmq would take over a path another process
// is listening on, and would leave the file's mode to the umask. A crash leaves the socket file;
// open() replaces it once it is sure that no process listens.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "base/shared_limits.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::transport {

// The frames in front of a message's body: routing id, REQ's correlation and delimiter if there.
// Echoed untouched in front of the reply. Reusable: assigning keeps the buffer.
struct Envelope {
    std::string bytes;
    std::array<std::uint16_t, limits::kEnvelopeFramesMax> frame_bytes{};
    std::uint8_t frames = 0;
    bool over_tcp = false;  // Which of the two sockets the peer is at.
    bool together = false;  // Came in a message with others: replies may leave in one, too.

    // The routing id of the peer.
    [[nodiscard]] std::string_view peer() const {
        return std::string_view(bytes).substr(0, frame_bytes[0]);
    }
    // Replies to both may leave in one message.
    [[nodiscard]] bool goes_with(const Envelope& other) const;
};

// Who is at the other end of a Unix socket, as the kernel knew it when the peer connected
// (SO_PEERCRED). -1: unknown, as for peers over TCP.
struct PeerCredentials {
    std::int64_t uid = -1;
    std::int64_t pid = -1;
};
// Of libzmq's property "Peer-Address" ("localhost:UID:GID:PID"). Private to protocol/transport and
// its tests.
[[nodiscard]] PeerCredentials parse_peer_address(std::string_view text);

// Listening on TCP. Fails closed: without its keys or its list of clients nothing listens.
struct TcpListener {
    std::string endpoint;      // "tcp://10.0.0.5:7411"
    std::string key_file;      // The server's secret key: see read_curve_keys().
    std::string clients_file;  // Who may connect: see read_curve_clients(). Read again on change.
    std::size_t connections_max = limits::kTcpConnectionsDefault;  // More are closed at once.
};

enum class ReceiveOutcome {
    kRequest,  // Envelope and body are filled in.
    kDropped,  // Nothing that could be answered (no body frame, over-long envelope, too many
               // frames).
    kNothing,  // Nothing is waiting.
};

enum class SendOutcome {
    kSent,      // Handed to libzmq for a connected peer.
    kBusy,      // The peer's queue or a budget of bytes is full; try again a little later.
    kPeerGone,  // The peer has disconnected.
};

// [one-owner]: the thread that opened it may hand it to one other before the first use.
class ServerSocket {
public:
    // Directory of the socket is created 0750 when missing. `socket_mode` is the file's mode.
    // Errors: kInvalidArgument (endpoint), kFailedPrecondition (libzmq too old), those of
    // listen_on_unix().
    [[nodiscard]] static Result<ServerSocket> open(const std::string& endpoint,
                                                   unsigned socket_mode);
    // Errors: kInvalidArgument (endpoint, key), those of the two files, kUnavailable (an address
    // in use or not there yet), kFailedPrecondition (one that this user may not use). Once, before
    // the first use.
    [[nodiscard]] Result<void> listen_on_tcp(const TcpListener& tcp);
    ServerSocket(ServerSocket&&) noexcept;
    ServerSocket& operator=(ServerSocket&&) noexcept;
    ~ServerSocket();  // Unlinks the socket file; waits at most kSocketLinger for unsent replies.

    // Sleeps until a message waits, `wake_fd` is readable, or the time is over.
    void wait(std::chrono::milliseconds time, int wake_fd);
    // One request. A message may hold many of them, one in each frame behind the delimiter, within
    // kMessageFramesMax and kMessageBytesMax. `peer`, when given, is filled in with a request.
    [[nodiscard]] ReceiveOutcome receive(Envelope& envelope, std::string& body,
                                         PeerCredentials* peer = nullptr);
    [[nodiscard]] SendOutcome send(const Envelope& envelope, std::string_view reply);
    // Several as one message: only to requests that came together.
    [[nodiscard]] SendOutcome send(const Envelope& envelope,
                                   std::span<const std::string_view> replies);

private:
    struct State;
    explicit ServerSocket(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace export_worker::transport
