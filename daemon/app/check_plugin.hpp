// `export-workerd --check-plugin FILE`: the daemon's verdict on a plugin file, without a daemon.
#pragma once

#include <string>

namespace export_worker::app {

// Runs the real staging, inspection and probe; with a configuration the probe also creates the
// plugin and sends it golden requests. Prints one line a step on stdout, or one JSON object.
// Returns the exit status: 0 accepted, 1 refused.
[[nodiscard]] int check_plugin(const std::string& file, const std::string& config_path,
                               bool as_json);

}  // namespace export_worker::app
