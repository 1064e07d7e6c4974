#include "protocol/transport/publisher_socket.hpp"

#include <unistd.h>

#include <optional>
#include <zmq.hpp>

#include "base/unix_socket.hpp"
#include "protocol/transport/endpoint.hpp"
#include "protocol/transport/limits.hpp"
#include "protocol/transport/unix_listener.hpp"

namespace export_worker::transport {

struct PublisherSocket::State {
    std::string path;
    zmq::context_t context{1};
    zmq::socket_t socket{context, zmq::socket_type::pub};
    std::optional<MessageGuard> guard;
    ~State() { ::unlink(path.c_str()); }
};

PublisherSocket::PublisherSocket(std::unique_ptr<State> state) : state_(std::move(state)) {}
PublisherSocket::PublisherSocket(PublisherSocket&&) noexcept = default;
PublisherSocket& PublisherSocket::operator=(PublisherSocket&&) noexcept = default;
PublisherSocket::~PublisherSocket() = default;

Result<PublisherSocket> PublisherSocket::open(const std::string& endpoint, unsigned socket_mode) {
    EW_TRY(std::string path, ipc_path(endpoint));
    EW_TRY(UniqueFd listener, listen_on_unix(path, socket_mode));
    auto state = std::make_unique<State>();
    state->path = path;
    try {
        zmq::socket_t& socket = state->socket;
        socket.set(zmq::sockopt::sndhwm, limits::kNoticeHighWater);
        socket.set(zmq::sockopt::linger, 0);
        state->guard = serve(socket, endpoint, std::move(listener));
    } catch (const zmq::error_t& error) {
        return fail(ErrorCode::kInternal, "bind " + endpoint + ": " + error.what());
    }
    return PublisherSocket(std::move(state));
}

void PublisherSocket::publish(std::string_view topic, std::string_view body) {
    try {
        state_->socket.send(zmq::buffer(topic),
                            zmq::send_flags::sndmore | zmq::send_flags::dontwait);
        state_->socket.send(zmq::buffer(body), zmq::send_flags::dontwait);
    } catch (const zmq::error_t&) {
        // Interrupted or out of memory: this subscriber sees a gap in the numbers.
    }
}

}  // namespace export_worker::transport
