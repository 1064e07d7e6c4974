// A plugin file of the caller on its way to the daemon, which may not see its path.
#pragma once

#include <sys/types.h>

#include <string>
#include <nlohmann/json_fwd.hpp>

#include <tl/expected.hpp>

#include "base/result.hpp"
#include "exportctl/control_client.hpp"

namespace export_worker::exportctl {

// The bytes of a regular file that only root, this user or `daemon_uid` can have written: it
// belongs to one of them, no one else may write it, and the same is true of every directory above
// it (a sticky one, such as /tmp, is fine). Errors: kNotFound, kFailedPrecondition with what to do,
// kInvalidArgument above `bytes_max`.
[[nodiscard]] Result<std::string> read_code(const std::string& path, std::size_t bytes_max,
                                            uid_t daemon_uid);

// Sends the file `path`, and the golden requests beside it if there are any, and names them in
// `params` for control.plugin_load and control.plugin_reload. Prints what is wrong; the exit code
// is the error.
[[nodiscard]] tl::expected<void, int> send_plugin_file(ControlClient& client,
                                                       const std::string& path,
                                                       nlohmann::json& params);

}  // namespace export_worker::exportctl
