#include "protocol/transport/server_socket.hpp"

#include <unistd.h>

#include <zmq.hpp>

#include "base/io.hpp"
#include "base/unique_fd.hpp"
#include "base/unix_socket.hpp"
#include "protocol/transport/endpoint.hpp"
#include "protocol/transport/unix_listener.hpp"

namespace export_worker::transport {
namespace {

int as_ms(std::chrono::milliseconds time) {
    return static_cast<int>(time.count());
}

}  // namespace

struct ServerSocket::State {
    std::string path;
    zmq::context_t context{1};
    zmq::socket_t socket{context, zmq::socket_type::router};
    ~State() { ::unlink(path.c_str()); }
};

ServerSocket::ServerSocket(std::unique_ptr<State> state) : state_(std::move(state)) {}
ServerSocket::ServerSocket(ServerSocket&&) noexcept = default;
ServerSocket& ServerSocket::operator=(ServerSocket&&) noexcept = default;
ServerSocket::~ServerSocket() = default;

Result<ServerSocket> ServerSocket::open(const std::string& endpoint, unsigned socket_mode) {
    EW_TRY(std::string path, ipc_path(endpoint));
    const auto [major, minor, patch] = zmq::version();
    if (major * 10000 + minor * 100 + patch < 40304) {
        return fail(ErrorCode::kFailedPrecondition,
                    "libzmq: expected 4.3.4 or newer, found " + std::to_string(major) + "." +
                        std::to_string(minor) + "." + std::to_string(patch));
    }
    EW_TRY(UniqueFd listener, listen_on_unix(path, socket_mode));
    auto state = std::make_unique<State>();
    state->path = path;
    try {
        zmq::socket_t& socket = state->socket;
        socket.set(zmq::sockopt::router_mandatory, true);
        socket.set(zmq::sockopt::router_handover, false);
        socket.set(zmq::sockopt::maxmsgsize,
                   static_cast<std::int64_t>(limits::kTransportMessageBytesMax));
        socket.set(zmq::sockopt::rcvhwm, limits::kSocketReceiveHighWater);
        socket.set(zmq::sockopt::sndhwm, limits::kSocketSendHighWater);
        socket.set(zmq::sockopt::handshake_ivl, as_ms(limits::kHandshakeTimeout));
        socket.set(zmq::sockopt::heartbeat_ivl, as_ms(limits::kHeartbeatInterval));
        socket.set(zmq::sockopt::heartbeat_timeout, as_ms(limits::kHeartbeatTimeout));
        socket.set(zmq::sockopt::heartbeat_ttl, as_ms(limits::kHeartbeatTimeout));
        socket.set(zmq::sockopt::linger, as_ms(limits::kSocketLinger));
        serve(socket, endpoint, std::move(listener));
    } catch (const zmq::error_t& error) {
        return fail(ErrorCode::kInternal, "bind " + endpoint + ": " + error.what());
    }
    return ServerSocket(std::move(state));
}

void ServerSocket::wait(std::chrono::milliseconds time, int wake_fd) {
    std::array<zmq::pollitem_t, 2> items{
        {{state_->socket.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wake_fd, ZMQ_POLLIN, 0}}};
    // A signal ends the sleep early, like a message would.
    (void)::zmq_poll(items.data(), static_cast<int>(items.size()), static_cast<long>(time.count()));
}

ReceiveOutcome ServerSocket::receive(Envelope& envelope, std::string& body) {
    envelope.bytes.clear();
    envelope.frames = 0;
    zmq::message_t frame;
    if (!state_->socket.recv(frame, zmq::recv_flags::dontwait)) return ReceiveOutcome::kNothing;
    bool answerable = true;
    bool extra_frames = false;
    while (frame.more()) {
        const bool fits = envelope.frames < limits::kEnvelopeFramesMax - 1 &&
                          envelope.bytes.size() + frame.size() <= limits::kEnvelopeBytesMax;
        // Frames behind the delimiter belong to a body of several frames, which version 1 does not
        // have.
        const bool behind_delimiter =
            envelope.frames > 1 && envelope.frame_bytes[envelope.frames - 1U] == 0;
        if (behind_delimiter) {
            extra_frames = true;
        } else if (fits) {
            envelope.bytes.append(frame.to_string_view());
            envelope.frame_bytes[envelope.frames++] = static_cast<std::uint16_t>(frame.size());
        } else {
            answerable = false;
        }
        if (!state_->socket.recv(frame, zmq::recv_flags::dontwait)) return ReceiveOutcome::kDropped;
    }
    if (!answerable || envelope.frames == 0) return ReceiveOutcome::kDropped;
    if (extra_frames) return ReceiveOutcome::kMalformed;
    body.assign(frame.data<char>(), frame.size());
    return ReceiveOutcome::kMessage;
}

SendOutcome ServerSocket::send(const Envelope& envelope, std::string_view body) {
    constexpr auto kMore = zmq::send_flags::dontwait | zmq::send_flags::sndmore;
    try {
        std::size_t begin = 0;
        for (std::size_t index = 0; index < envelope.frames; ++index) {
            const zmq::const_buffer frame(envelope.bytes.data() + begin,
                                          envelope.frame_bytes[index]);
            if (!state_->socket.send(frame, kMore)) return SendOutcome::kBusy;
            begin += envelope.frame_bytes[index];
        }
        return state_->socket.send(zmq::buffer(body), zmq::send_flags::dontwait)
                   ? SendOutcome::kSent
                   : SendOutcome::kBusy;
    } catch (const zmq::error_t&) {
        return SendOutcome::kPeerGone;  // EHOSTUNREACH: only the first frame can fail this way.
    }
}

}  // namespace export_worker::transport
