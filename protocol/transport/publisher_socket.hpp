// One PUB socket on a Unix path: a subscriber gets the messages sent after it has connected.
//
// A subscriber that reads too slowly misses messages (libzmq drops them at its high-water mark);
// what it gets is numbered by the caller, so it can tell. A crash leaves the socket file; open()
// replaces it.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::transport {

// [one-owner]
class PublisherSocket {
public:
    // Errors: those of listen_on(), kInvalidArgument for the endpoint.
    [[nodiscard]] static Result<PublisherSocket> open(const std::string& endpoint,
                                                      unsigned socket_mode);
    PublisherSocket(PublisherSocket&&) noexcept;
    PublisherSocket& operator=(PublisherSocket&&) noexcept;
    ~PublisherSocket();  // Unlinks the socket file.

    // Two frames. Never waits.
    void publish(std::string_view topic, std::string_view body);

private:
    struct State;
    explicit PublisherSocket(std::unique_ptr<State> state);
    std::unique_ptr<State> state_;
};

}  // namespace export_worker::transport
