#include "protocol/transport/endpoint.hpp"

#include <sys/un.h>

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

}  // namespace export_worker::transport
