#include "protocol/transport/unix_listener.hpp"

namespace export_worker::transport {

MessageGuard serve(zmq::socket_t& socket, const std::string& endpoint, UniqueFd listener) {
    const int fd = listener.get();
    MessageGuard guard(fd);
    if (::zmq_setsockopt(socket.handle(), ZMQ_USE_FD, &fd, sizeof fd) != 0) throw zmq::error_t();
    socket.bind(endpoint);
    (void)listener.release();  // libzmq closes it from here on.
    return guard;
}

}  // namespace export_worker::transport
