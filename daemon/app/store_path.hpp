// Whether the daemon may write where it has its files.
#pragma once

#include <string>

#include "base/result.hpp"
#include "daemon/config/config.hpp"

namespace export_worker::app {

// Looks, without writing, at the directory `root`, or at the nearest one above it that exists.
// Errors: kFailedPrecondition, it lies on a read-only file system (a path that the systemd unit
// does not list) or this user may not write there. [any-thread]
[[nodiscard]] Result<void> check_writable(const std::string& root);

// Makes a file in `path`, or in the nearest directory above it that exists, and deletes it: some
// directories, as those of /proc, only look as if they took any. Errors: those of the file system.
// [any-thread]
[[nodiscard]] Result<void> check_holds_files(const std::string& path);

// As check_writable() for the local store that exports are written to, when it lies outside
// `state_dir`. Returns what an operator must know about it, one line; empty: nothing.
[[nodiscard]] Result<std::string> check_export_path(const config::Config& config);

}  // namespace export_worker::app
