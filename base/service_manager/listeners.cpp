#include "base/service_manager/listeners.hpp"

#include <sys/socket.h>
#include <systemd/sd-daemon.h>

#include <string>

#include "base/limits.hpp"

namespace export_worker::service_manager {

Result<std::vector<UniqueFd>> inherited_listeners() {
    const int count = ::sd_listen_fds(1);
    if (count < 0) return fail(errno_error("LISTEN_FDS", -count));
    std::vector<UniqueFd> out;
    out.reserve(static_cast<std::size_t>(count));
    for (int index = 0; index < count; ++index) out.emplace_back(SD_LISTEN_FDS_START + index);
    if (out.size() > limits::kHttpListenersMax)
        return fail(ErrorCode::kFailedPrecondition,
                    "sockets of systemd: expected at most " +
                        std::to_string(limits::kHttpListenersMax) + ", found " +
                        std::to_string(out.size()) +
                        "; remove ListenStream lines from the .socket unit");
    for (const UniqueFd& each : out) {
        if (::sd_is_socket(each.get(), AF_UNSPEC, SOCK_STREAM, 1) <= 0)
            return fail(ErrorCode::kFailedPrecondition,
                        "sockets of systemd: expected listening stream sockets, found something "
                        "else in descriptor " +
                            std::to_string(each.get()) +
                            "; use ListenStream= with Accept=no in the .socket unit");
    }
    return out;
}

}  // namespace export_worker::service_manager
