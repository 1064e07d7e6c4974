// Listening sockets: a Unix one, made so that nobody's path is taken over and the file's mode is
// what was asked for; and those that systemd has made. A crash leaves the socket file behind; the
// next one to listen there replaces it.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {

// Not blocking. The directory is created 0750 when missing. Errors: kFailedPrecondition when
// somebody listens there or the path is no socket, kInvalidArgument for a path that is too long,
// and those of the file system.
[[nodiscard]] Result<UniqueFd> listen_on_unix(const std::string& path, unsigned socket_mode);

// The listening stream sockets systemd hands over (sd_listen_fds(3): descriptors 3 and up, for the
// process that LISTEN_PID names). Errors: kFailedPrecondition when there are none, more than
// kHttpListenersMax, or one is something else.
[[nodiscard]] Result<std::vector<UniqueFd>> inherited_listeners();

}  // namespace export_worker
