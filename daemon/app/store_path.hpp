// Whether the daemon may write where a local store has its files, found out without writing.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/config/config.hpp"

namespace export_worker::app {

// Looks at the directory `root`, or at the nearest one above it that exists. Errors:
// kFailedPrecondition, it lies on a read-only file system (a path that the systemd unit does not
// list) or this user may not write there. [any-thread]
[[nodiscard]] Result<void> check_writable(const std::string& root);

// The same for the local store that exports are written to, when it lies outside `state_dir`.
// Returns what an operator must know about it, one line; empty: nothing.
[[nodiscard]] Result<std::string> check_export_path(const config::Config& config);

}  // namespace export_worker::app
