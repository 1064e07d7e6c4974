// A listening Unix socket, made so that the path of another process is never taken over and the
// file's mode is as given. A crash leaves the socket file behind; the next one to listen there
// replaces it.
#pragma once

#include <string>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker {

// Not blocking. The directory is created 0750 when missing. Errors: kUnavailable when another
// process listens there, kFailedPrecondition when the path is no socket, kInvalidArgument for a
// path that is too long, and those of the file system.
[[nodiscard]] Result<UniqueFd> listen_on_unix(const std::string& path, unsigned socket_mode);

// Whether listen_on_unix() could take the path: nothing is there, or a socket without a listener.
// Errors: as there. [any-thread]
[[nodiscard]] Result<void> check_socket_path(const std::string& path);

// Whether a process listens on the socket at `path`. [any-thread]
[[nodiscard]] bool is_socket_in_use(const std::string& path);

}  // namespace export_worker
