// An IP address with a port, as the configuration writes it: "127.0.0.1:80", "[::1]:80".
#pragma once

#include <sys/socket.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker {

struct SocketAddress {
    sockaddr_storage storage{};
    socklen_t size = 0;  // Bytes of `storage` in use.

    [[nodiscard]] const sockaddr* data() const {
        return reinterpret_cast<const sockaddr*>(&storage);
    }
    [[nodiscard]] std::uint16_t port() const;
};

// nullopt for anything but an IP address (IPv6 in brackets), a colon and a port from 0 to 65535.
[[nodiscard]] std::optional<SocketAddress> parse_socket_address(std::string_view text);

// What an operator does about an address on which listen() failed, after a semicolon; empty:
// nothing is known.
[[nodiscard]] std::string listen_advice(int errno_value);

// Binds a TCP socket to `address` ("127.0.0.1:80") and closes it. `v6_only`: as an IPv6 listener
// that leaves IPv4 to another one. Errors: kInvalidArgument for what parse_socket_address()
// refuses; kUnavailable, an address in use or not of this machine; kFailedPrecondition, one that
// this user may not use. The message says what to do. [any-thread]
[[nodiscard]] Result<void> try_bind(const std::string& address, bool v6_only = false);

}  // namespace export_worker
