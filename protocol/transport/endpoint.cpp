#include "protocol/transport/endpoint.hpp"

#include <sys/un.h>

#include "base/socket_address.hpp"
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
    const auto address = parse_socket_address(endpoint.substr(std::string_view("tcp://").size()));
    if (!address || address->port() == 0) return refuse();
    return address->port();
}

}  // namespace export_worker::transport
