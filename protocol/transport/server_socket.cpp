#include "protocol/transport/server_socket.hpp"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <set>
#include <zmq.hpp>

#include "base/assert.hpp"
#include "base/crypto/compare.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "base/unique_fd.hpp"
#include "base/unix_socket.hpp"
#include "protocol/transport/accept_guard.hpp"
#include "protocol/transport/curve.hpp"
#include "protocol/transport/endpoint.hpp"
#include "protocol/transport/keepalive.hpp"
#include "protocol/transport/limits.hpp"
#include "protocol/transport/send_budget.hpp"
#include "protocol/transport/unix_listener.hpp"
#include "protocol/transport/zap_handler.hpp"

namespace export_worker::transport {
namespace {

int as_ms(std::chrono::milliseconds time) {
    return static_cast<int>(time.count());
}

// What every peer gets, however it comes.
void set_options(zmq::socket_t& socket) {
    socket.set(zmq::sockopt::router_mandatory, true);
    socket.set(zmq::sockopt::router_handover, false);
    socket.set(zmq::sockopt::maxmsgsize,
               static_cast<std::int64_t>(limits::kTransportMessageBytesMax));
    socket.set(zmq::sockopt::rcvhwm, limits::kSocketReceiveHighWater);
    socket.set(zmq::sockopt::sndhwm, limits::kSocketSendHighWater);
    socket.set(zmq::sockopt::handshake_ivl, as_ms(limits::kHandshakeTimeout));
    socket.set(zmq::sockopt::linger, as_ms(limits::kSocketLinger));
}

// A ROUTER, and where it stands in the message that is being read.
struct Router {
    zmq::socket_t socket;
    bool inside = false;     // More requests of the message follow.
    Envelope envelope{};     // Theirs, while inside.
    std::size_t frames = 0;  // Of that message, so far.
    SendBudget budget{};
};

// The frames up to the delimiter. False: no reply could find its way. `frame` is the first one
// behind.
bool read_envelope(zmq::socket_t& socket, zmq::message_t& frame, Envelope& envelope) {
    bool answerable = true;
    bool delimited = false;
    while (frame.more() && !delimited) {
        delimited = envelope.frames > 0 && frame.empty();
        if (envelope.frames < limits::kEnvelopeFramesMax - 1 &&
            envelope.bytes.size() + frame.size() <= limits::kEnvelopeBytesMax) {
            envelope.bytes.append(frame.to_string_view());
            envelope.frame_bytes[envelope.frames++] = static_cast<std::uint16_t>(frame.size());
        } else {
            answerable = false;
        }
        if (!socket.recv(frame, zmq::recv_flags::dontwait)) return false;
    }
    return answerable && envelope.frames > 0;
}

void skip_rest(zmq::socket_t& socket, zmq::message_t& frame) {
    while (frame.more() && socket.recv(frame, zmq::recv_flags::dontwait)) {
    }
}

ReceiveOutcome receive_from(Router& router, Envelope& envelope, std::string& body,
                            PeerCredentials* peer) {
    zmq::message_t frame;
    if (!router.socket.recv(frame, zmq::recv_flags::dontwait)) return ReceiveOutcome::kNothing;
    if (router.inside) {
        envelope = router.envelope;
        // Over TCP only: the message guard ends other connections before.
        if (++router.frames > limits::kMessageFramesMax) {
            skip_rest(router.socket, frame);
            router.inside = false;
            return ReceiveOutcome::kDropped;
        }
    } else {
        router.frames = 0;
        envelope.bytes.clear();
        envelope.frames = 0;
        if (!read_envelope(router.socket, frame, envelope)) {
            skip_rest(router.socket, frame);
            return ReceiveOutcome::kDropped;
        }
        envelope.together = frame.more();
        if (envelope.together) router.envelope = envelope;
    }
    router.inside = frame.more();
    body.assign(frame.data<char>(), frame.size());
    if (peer != nullptr) {
        const char* address = ::zmq_msg_gets(frame.handle(), "Peer-Address");
        *peer = parse_peer_address(address == nullptr ? "" : address);
    }
    return ReceiveOutcome::kRequest;
}

constexpr const char* kTcpEvents = "inproc://tcp-events";

}  // namespace

PeerCredentials parse_peer_address(std::string_view text) {
    std::array<std::int64_t, 3> numbers{};  // PID, GID, UID: from the end.
    for (std::int64_t& number : numbers) {
        const std::size_t colon = text.rfind(':');
        const auto parsed =
            colon == std::string_view::npos ? std::nullopt : parse_unsigned(text.substr(colon + 1));
        if (!parsed || *parsed > UINT32_MAX) return {};
        number = static_cast<std::int64_t>(*parsed);
        text = text.substr(0, colon);
    }
    return {numbers[2], numbers[0]};
}

bool Envelope::goes_with(const Envelope& other) const {
    const auto sizes = [](const Envelope& of) {
        return std::span(of.frame_bytes).first(of.frames);
    };
    return together && other.together && over_tcp == other.over_tcp && bytes == other.bytes &&
           std::ranges::equal(sizes(*this), sizes(other));
}

// A context of its own: its ZAP handler is asked about nobody else.
struct TcpState {
    zmq::context_t context{1};
    std::unique_ptr<ZapHandler> zap;
    Router router{.socket = {context, zmq::socket_type::router}};
    zmq::socket_t monitor{context, zmq::socket_type::pair};
    std::set<int> connections;  // Descriptors, from the monitor's events.

    ~TcpState() {
        limit_tcp(0, 0);
        ::zmq_socket_monitor(router.socket.handle(), nullptr, 0);
    }
    void read_events();
};

void TcpState::read_events() {
    zmq::message_t frame;
    while (monitor.recv(frame, zmq::recv_flags::dontwait)) {
        std::uint16_t event = 0;
        std::int32_t value = 0;
        if (frame.size() >= sizeof event + sizeof value) {
            std::memcpy(&event, frame.data(), sizeof event);
            std::memcpy(&value, frame.data<char>() + sizeof event, sizeof value);
        }
        while (frame.more() && monitor.recv(frame, zmq::recv_flags::none)) {
        }
        if (event == ZMQ_EVENT_ACCEPTED) connections.insert(value);
        if (event == ZMQ_EVENT_DISCONNECTED || event == ZMQ_EVENT_CLOSED) connections.erase(value);
    }
    set_tcp_count(connections.size());
}

struct ServerSocket::State {
    std::string path;
    zmq::context_t context{1};
    Router router{.socket = {context, zmq::socket_type::router}};
    std::optional<MessageGuard> guard;
    std::unique_ptr<TcpState> tcp;
    bool tcp_first = false;  // Whose turn it is to be looked at first.
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
    guard_accept();
    EW_TRY(UniqueFd listener, listen_on_unix(path, socket_mode));
    auto state = std::make_unique<State>();
    state->path = path;
    try {
        zmq::socket_t& socket = state->router.socket;
        set_options(socket);
        state->guard = serve(socket, endpoint, std::move(listener));
    } catch (const zmq::error_t& error) {
        return fail(ErrorCode::kInternal, "bind " + endpoint + ": " + error.what());
    }
    return ServerSocket(std::move(state));
}

Result<void> ServerSocket::listen_on_tcp(const TcpListener& tcp) {
    EW_TRY(const std::uint16_t port, tcp_port(tcp.endpoint));
    EW_TRY(CurveKeys keys, read_curve_keys(tcp.key_file));
    auto state = std::make_unique<TcpState>();
    // Before the socket is bound: without a handler libzmq lets every key in.
    EW_TRY(state->zap, ZapHandler::open(state->context, tcp.clients_file));
    try {
        zmq::socket_t& socket = state->router.socket;
        set_options(socket);
        socket.set(zmq::sockopt::ipv6, tcp.endpoint.find('[') != std::string::npos);
        socket.set(zmq::sockopt::curve_server, true);
        socket.set(zmq::sockopt::curve_secretkey, keys.secret_key);
        socket.set(zmq::sockopt::zap_domain, "data");
        set_keepalive(socket);
        socket.set(zmq::sockopt::backlog, limits::kSocketBacklog);
        constexpr int kWatched = ZMQ_EVENT_ACCEPTED | ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_CLOSED;
        EW_ASSERT(::zmq_socket_monitor(socket.handle(), kTcpEvents, kWatched) == 0);
        state->monitor.set(zmq::sockopt::linger, 0);
        state->monitor.connect(kTcpEvents);
        limit_tcp(port, tcp.connections_max);
        socket.bind(tcp.endpoint);
    } catch (const zmq::error_t& error) {
        return fail(
            error.num() == EACCES ? ErrorCode::kFailedPrecondition : ErrorCode::kUnavailable,
            "listen on " + tcp.endpoint + ": " + error.what());
    }
    crypto::wipe(keys.secret_key);
    state_->tcp = std::move(state);
    return {};
}

void ServerSocket::wait(std::chrono::milliseconds time, int wake_fd) {
    std::array<zmq::pollitem_t, 4> items{
        {{state_->router.socket.handle(), 0, ZMQ_POLLIN, 0}, {nullptr, wake_fd, ZMQ_POLLIN, 0}}};
    int count = 2;
    if (state_->tcp) {
        items[2] = {state_->tcp->router.socket.handle(), 0, ZMQ_POLLIN, 0};
        items[3] = {state_->tcp->monitor.handle(), 0, ZMQ_POLLIN, 0};
        count = 4;
    }
    // A signal ends the sleep early, like a message would.
    (void)::zmq_poll(items.data(), count, static_cast<long>(time.count()));
    if (state_->tcp) state_->tcp->read_events();
}

ReceiveOutcome ServerSocket::receive(Envelope& envelope, std::string& body, PeerCredentials* peer) {
    if (!state_->tcp) {
        envelope.over_tcp = false;
        return receive_from(state_->router, envelope, body, peer);
    }
    // In turns, so that neither kind of peer waits for the other one's flood.
    state_->tcp_first = !state_->tcp_first;
    for (const bool tcp : {state_->tcp_first, !state_->tcp_first}) {
        envelope.over_tcp = tcp;
        const ReceiveOutcome outcome =
            receive_from(tcp ? state_->tcp->router : state_->router, envelope, body, peer);
        if (outcome != ReceiveOutcome::kNothing) return outcome;
    }
    return ReceiveOutcome::kNothing;
}

SendOutcome ServerSocket::send(const Envelope& envelope, std::string_view reply) {
    return send(envelope, std::span(&reply, 1));
}

SendOutcome ServerSocket::send(const Envelope& envelope,
                               std::span<const std::string_view> replies) {
    EW_ASSERT(!replies.empty());
    Router& router = envelope.over_tcp ? state_->tcp->router : state_->router;
    zmq::socket_t& socket = router.socket;
    std::size_t bytes = 0;
    for (const std::string_view reply : replies) bytes += reply.size();
    const bool counted = bytes >= limits::kCountedMessageBytesMin;
    if (counted && !router.budget.has_room(envelope.peer(), bytes)) return SendOutcome::kBusy;
    constexpr auto kMore = zmq::send_flags::dontwait | zmq::send_flags::sndmore;
    try {
        std::size_t begin = 0;
        for (std::size_t index = 0; index < envelope.frames; ++index) {
            const zmq::const_buffer frame(envelope.bytes.data() + begin,
                                          envelope.frame_bytes[index]);
            if (!socket.send(frame, kMore)) return SendOutcome::kBusy;
            begin += envelope.frame_bytes[index];
        }
        for (const std::string_view reply : replies.first(replies.size() - 1)) {
            if (!socket.send(zmq::buffer(reply), kMore)) return SendOutcome::kBusy;
        }
        // The last frame leaves last: what is counted for it stands for the message.
        zmq::message_t last = counted
                                  ? router.budget.make_frame(envelope.peer(), replies.back(), bytes)
                                  : zmq::message_t(replies.back().data(), replies.back().size());
        return socket.send(last, zmq::send_flags::dontwait) ? SendOutcome::kSent
                                                            : SendOutcome::kBusy;
    } catch (const zmq::error_t&) {
        return SendOutcome::kPeerGone;  // EHOSTUNREACH: only the first frame can fail this way.
    }
}

}  // namespace export_worker::transport
