#include "protocol/transport/endpoint.hpp"

#include <arpa/inet.h>
#include <sys/un.h>

#include "base/text.hpp"

namespace export_worker::transport {

Result<std::string> ipc_path(std::string_view endpoint) {
    constexpr std::string_view kScheme = "ipc://";
    if (!endpoint.starts_with(kScheme) || endpoint.size() <= kScheme.size() ||
        endpoint[kScheme.size()] != '/') {
        return fail(
            ErrorCode::kInvalidArgument,
            "endpoint: expected ipc:///absolute/path.sock, found '" + std::string(endpoint) + "'");
    }
    const std::string path(endpoint.substr(kScheme.size()));
    constexpr std::size_t kPathBytesMax = sizeof(sockaddr_un{}.sun_path) - 1;
    if (path.size() > kPathBytesMax) {
        return fail(ErrorCode::kInvalidArgument,
                    "endpoint: expected a path of at most " + std::to_string(kPathBytesMax) +
                        " bytes, found " + std::to_string(path.size()) + ": " + path);
    }
    return path;
}

bool is_tcp(std::string_view endpoint) {
    return endpoint.starts_with("tcp://");
}

Result<std::uint16_t> tcp_port(std::string_view endpoint) {
    const auto refuse = [&] {
        return fail(ErrorCode::kInvalidArgument,
                    "endpoint: expected tcp://ADDRESS:PORT with an IP address, found '" +
                        printable(endpoint) + "'");
    };
    if (!is_tcp(endpoint)) return refuse();
    const std::string_view where = endpoint.substr(std::string_view("tcp://").size());
    const std::size_t colon = where.rfind(':');
    if (colon == std::string_view::npos) return refuse();
    std::string host(where.substr(0, colon));
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    in6_addr address{};
    const bool known = ::inet_pton(AF_INET, host.c_str(), &address) == 1 ||
                       ::inet_pton(AF_INET6, host.c_str(), &address) == 1;
    const auto port = parse_unsigned(where.substr(colon + 1));
    if (!known || !port || *port == 0 || *port > 65535) return refuse();
    return static_cast<std::uint16_t>(*port);
}

}  // namespace export_worker::transport
