#include "protocol/transport/client.hpp"

#include <array>
#include <cstring>
#include <zmq.hpp>

#include "base/assert.hpp"
#include "base/shared_limits.hpp"
#include "protocol/transport/endpoint.hpp"
#include "protocol/transport/keepalive.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::transport {

struct Client::State {
    std::string endpoint;
    std::optional<CurveClient> curve;
    zmq::context_t context{1};
    std::unique_ptr<zmq::socket_t> socket;
    std::unique_ptr<zmq::socket_t> monitor;
    bool inside = false;  // More replies of the message that is being read follow.
    bool connected = false;
    unsigned losses = 0;
    unsigned generation = 0;  // Makes the monitor's inproc name new after every reconnect().

    void start();
    void stop();
    void read_events();
};

void Client::State::start() {
    socket = std::make_unique<zmq::socket_t>(context, zmq::socket_type::dealer);
    socket->set(zmq::sockopt::linger, 0);
    // Only a finished connection may take a message.
    socket->set(zmq::sockopt::immediate, true);
    socket->set(zmq::sockopt::reconnect_ivl, 50);
    socket->set(zmq::sockopt::reconnect_ivl_max, 500);
    socket->set(zmq::sockopt::maxmsgsize,
                static_cast<std::int64_t>(limits::kTransportMessageBytesMax));
    socket->set(zmq::sockopt::sndhwm, limits::kSocketSendHighWater * 16);
    socket->set(zmq::sockopt::rcvhwm, limits::kSocketSendHighWater * 16);
    if (curve) {
        set_keepalive(*socket);
        socket->set(zmq::sockopt::ipv6, endpoint.find('[') != std::string::npos);
        socket->set(zmq::sockopt::curve_serverkey, curve->server_key);
        socket->set(zmq::sockopt::curve_publickey, curve->keys.public_key);
        socket->set(zmq::sockopt::curve_secretkey, curve->keys.secret_key);
    }
    const std::string events = "inproc://events-" + std::to_string(++generation);
    const int watched = ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_DISCONNECTED;
    EW_ASSERT(::zmq_socket_monitor(socket->handle(), events.c_str(), watched) == 0);
    monitor = std::make_unique<zmq::socket_t>(context, zmq::socket_type::pair);
    monitor->set(zmq::sockopt::linger, 0);
    monitor->connect(events);
    socket->connect(endpoint);
}

void Client::State::stop() {
    if (socket) ::zmq_socket_monitor(socket->handle(), nullptr, 0);
    socket.reset();
    monitor.reset();
    if (connected) ++losses;
    connected = false;
    inside = false;
}

// libzmq sends two frames an event: 16-bit event and 32-bit value, then the address.
void Client::State::read_events() {
    zmq::message_t frame;
    while (monitor->recv(frame, zmq::recv_flags::dontwait)) {
        std::uint16_t event = 0;
        if (frame.size() >= sizeof event) std::memcpy(&event, frame.data(), sizeof event);
        while (frame.more() && monitor->recv(frame, zmq::recv_flags::none)) {
        }
        if (event == ZMQ_EVENT_HANDSHAKE_SUCCEEDED) {
            connected = true;
        } else if (event == ZMQ_EVENT_DISCONNECTED && connected) {
            connected = false;
            ++losses;
        }
    }
}

Client::Client(std::unique_ptr<State> state) : state_(std::move(state)) {}
Client::Client(Client&&) noexcept = default;
Client& Client::operator=(Client&&) noexcept = default;
Client::~Client() {
    if (state_) state_->stop();
}

Result<Client> Client::open(const std::string& endpoint, const CurveClient* curve) {
    auto state = std::make_unique<State>();
    if (is_tcp(endpoint)) {
        EW_CHECK(tcp_port(endpoint));
        if (curve == nullptr)
            return fail(ErrorCode::kInvalidArgument,
                        "endpoint: " + endpoint + " needs CURVE keys, and none are configured");
        state->curve = *curve;
    } else {
        EW_CHECK(ipc_path(endpoint));
    }
    state->endpoint = endpoint;
    try {
        state->start();
    } catch (const zmq::error_t& error) {
        return fail(ErrorCode::kInternal, "connect to " + endpoint + ": " + error.what());
    }
    return Client(std::move(state));
}

Result<void> Client::send(std::string_view request) {
    return send(std::span(&request, 1));
}

Result<void> Client::send(std::span<const std::string_view> requests) {
    EW_ASSERT(!requests.empty());
    constexpr auto kMore = zmq::send_flags::dontwait | zmq::send_flags::sndmore;
    // An empty frame first, as REQ does: the server treats both alike. Only that one can fail.
    bool sent = state_->connected && state_->socket->send(zmq::const_buffer(), kMore);
    for (const std::string_view& request : requests) {
        const bool last = &request == &requests.back();
        sent = sent &&
               state_->socket->send(zmq::buffer(request), last ? zmq::send_flags::dontwait : kMore);
    }
    if (!sent)
        return fail(ErrorCode::kUnavailable,
                    "send to " + state_->endpoint + ": no daemon is connected there");
    return {};
}

std::optional<std::string> Client::receive() {
    zmq::message_t frame;
    const bool got = state_->socket->recv(frame, zmq::recv_flags::dontwait).has_value();
    // The delimiter, and then one reply or many.
    if (!got || (!state_->inside && frame.more() &&
                 !state_->socket->recv(frame, zmq::recv_flags::dontwait)))
        return std::nullopt;
    state_->inside = frame.more();
    return frame.to_string();
}

void Client::wait(std::chrono::milliseconds time, int wake_fd) {
    Client* const self = this;
    wait_any(std::span(&self, 1), time, wake_fd);
}

void Client::wait_any(std::span<Client* const> clients, std::chrono::milliseconds time,
                      int wake_fd) {
    EW_ASSERT(clients.size() <= limits::kPoolDaemonsMax);
    std::array<zmq::pollitem_t, 2 * limits::kPoolDaemonsMax + 1> items{};
    std::size_t count = 0;
    for (const Client* client : clients) {
        items[count++] = {client->state_->socket->handle(), 0, ZMQ_POLLIN, 0};
        items[count++] = {client->state_->monitor->handle(), 0, ZMQ_POLLIN, 0};
    }
    if (wake_fd >= 0) items[count++] = {nullptr, wake_fd, ZMQ_POLLIN, 0};
    (void)::zmq_poll(items.data(), static_cast<int>(count), static_cast<long>(time.count()));
    for (const Client* client : clients) client->state_->read_events();
}

std::array<int, 2> Client::descriptors() const {
    return {state_->socket->get(zmq::sockopt::fd), state_->monitor->get(zmq::sockopt::fd)};
}

void Client::look() {
    state_->read_events();
}

bool Client::connected() const {
    return state_->connected;
}
unsigned Client::losses() const {
    return state_->losses;
}

bool Client::wait_connected(std::chrono::milliseconds time) {
    const auto end = std::chrono::steady_clock::now() + time;
    state_->read_events();
    while (!state_->connected) {
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (left.count() <= 0) return false;
        wait(left, -1);
    }
    return true;
}

void Client::reconnect() {
    state_->stop();
    state_->start();
}

}  // namespace export_worker::transport
