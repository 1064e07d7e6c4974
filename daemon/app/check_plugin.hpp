// `export-workerd --check-plugin FILE`: the daemon's verdict on a plugin file, without a daemon.
#pragma once

#include <string>

namespace export_worker::app {

// Runs the real staging, inspection and loading, and with a configuration also create, describe and
// self_test. Prints one line a step on stdout. Returns the exit status: 0 accepted, 1 refused.
[[nodiscard]] int check_plugin(const std::string& file, const std::string& config_path);

}  // namespace export_worker::app
