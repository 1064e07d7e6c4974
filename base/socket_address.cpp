#include "base/socket_address.hpp"

#include <arpa/inet.h>
#include <net/if.h>
#include <netinet/in.h>

#include <cerrno>
#include <cstring>

#include "base/text.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {
namespace {

template <typename Address>
SocketAddress store(const Address& address) {
    SocketAddress out;
    std::memcpy(&out.storage, &address, sizeof address);
    out.size = sizeof address;
    return out;
}

std::optional<SocketAddress> make_v4(const std::string& host, std::uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    if (::inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) return std::nullopt;
    return store(address);
}

// With a zone or without: "fe80::1%eth0". An unknown zone is left to the one who binds.
std::optional<SocketAddress> make_v6(const std::string& host, std::uint16_t port) {
    const std::size_t percent = host.find('%');
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_port = htons(port);
    if (::inet_pton(AF_INET6, host.substr(0, percent).c_str(), &address.sin6_addr) != 1)
        return std::nullopt;
    if (percent != std::string::npos)
        address.sin6_scope_id = ::if_nametoindex(host.substr(percent + 1).c_str());
    return store(address);
}

}  // namespace

std::string listen_advice(int errno_value) {
    switch (errno_value) {
        case EADDRINUSE:
            return "; stop what listens there, or name another address of this machine";
        case EADDRNOTAVAIL:
            return "; no network interface of this machine has it: name another address, or start "
                   "once it is there";
        case EACCES: return "; name a port above 1023, or let systemd listen there";
        default: return {};
    }
}

std::uint16_t SocketAddress::port() const {
    return ntohs(storage.ss_family == AF_INET
                     ? reinterpret_cast<const sockaddr_in&>(storage).sin_port
                     : reinterpret_cast<const sockaddr_in6&>(storage).sin6_port);
}

std::optional<SocketAddress> parse_socket_address(std::string_view text) {
    const std::size_t colon = text.rfind(':');
    if (colon == std::string_view::npos) return std::nullopt;
    const auto port = parse_unsigned(text.substr(colon + 1));
    if (!port || *port > UINT16_MAX) return std::nullopt;
    const std::string host(text.substr(0, colon));
    if (host.starts_with('[') && host.ends_with(']'))
        return make_v6(host.substr(1, host.size() - 2), static_cast<std::uint16_t>(*port));
    return make_v4(host, static_cast<std::uint16_t>(*port));
}

Result<void> try_bind(const std::string& address, bool v6_only) {
    const auto parsed = parse_socket_address(address);
    if (!parsed)
        return fail(ErrorCode::kInvalidArgument,
                    "expected ADDRESS:PORT with an IP address, found '" + printable(address) + "'");
    const UniqueFd fd(::socket(parsed->storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    const int on = 1;
    ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (v6_only) ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    // Only listen() finds a listener that has the port with SO_REUSEADDR, too.
    if (::bind(fd.get(), parsed->data(), parsed->size) == 0 && ::listen(fd.get(), 1) == 0)
        return {};
    const int number = errno;
    const bool passes = number == EADDRINUSE || number == EADDRNOTAVAIL;
    Error error = errno_error("listen on " + address, number);
    error.message += listen_advice(number);
    if (passes) error.code = ErrorCode::kUnavailable;
    return fail(std::move(error));
}

}  // namespace export_worker
