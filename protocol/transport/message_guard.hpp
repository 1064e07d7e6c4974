// How much of one message libzmq takes into memory. Private to protocol/transport.
//
// libzmq bounds a frame (ZMQ_MAXMSGSIZE), not a message: it keeps all frames until the last one has
// come, and its user sees none of them before. So recv() is ours: for connections of a guarded
// listener it follows the frames (ZMTP 2.0 and 3, RFC 15 and 23 of ZeroMQ) and ends a connection
// whose message exceeds kMessageFramesMax or kMessageBytesMax. Frames under CURVE cannot be
// followed; their senders hold a key.
//
// It also makes an unknown command, which libzmq ignores, of a PING that was read together with
// messages in front of it. libzmq answers a PING at once; when the messages have filled its queue
// and the peer has gone, that aborts the process (docs/wire_protocol.md, Heartbeats). The peer
// misses a PONG and gets the replies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace export_worker::transport {

// What one connection has sent, from its greeting on. [one-owner]
class FrameCounter {
public:
    // The next bytes, which were read together. False, and false from then on: no ZMTP of these
    // versions, or a message over its bounds.
    [[nodiscard]] bool accept(std::span<std::uint8_t> bytes);

private:
    [[nodiscard]] bool greet(std::uint8_t byte);
    [[nodiscard]] bool begin_frame(std::uint8_t flags);
    [[nodiscard]] bool read_size(std::uint8_t byte);
    [[nodiscard]] bool count_frame();
    [[nodiscard]] bool is_command() const;

    enum class Expected : std::uint8_t { kGreeting, kFlags, kSize, kBody, kNothing };
    Expected expected_ = Expected::kGreeting;
    std::uint8_t greeting_bytes_ = 0;      // Read so far.
    std::uint8_t greeting_bytes_end_ = 0;  // Known once the version is.
    std::uint8_t flags_ = 0;
    std::uint8_t size_bytes_left_ = 0;
    std::uint64_t frame_bytes_ = 0;    // Of the size field so far; then what is left of the body.
    std::size_t message_frames_ = 0;   // Of the message so far.
    std::uint64_t message_bytes_ = 0;  // The same.
};

// While it lives, the connections accepted at `listener` are guarded. Pulls the definition of
// recv() into the program. [any-thread]
class MessageGuard {
public:
    explicit MessageGuard(int listener);
    MessageGuard(MessageGuard&& other) noexcept;
    MessageGuard& operator=(MessageGuard&& other) noexcept;
    ~MessageGuard();

private:
    int listener_;  // -1: moved from.
};

// Called by accept4(): `connection` was accepted at `listener`, by the thread that will read it.
void guard_connection(int listener, int connection);

}  // namespace export_worker::transport
