// The io thread: accepts connections, serves them, and ends in order on SIGTERM.
#pragma once

#include <string>

#include "base/result.hpp"
#include "http_shim/config.hpp"

namespace export_worker::http_shim {

// Returns after SIGINT or SIGTERM, once no request is left or kHttpDrainTimeout has passed.
// Tells systemd when it is ready (as /readyz, or after kHttpReadyTimeout) and when it stops.
// SIGHUP reads the configuration again (reload.hpp); until then it should be blocked, because it
// ends the process.
// Errors: those of open_acceptors() and of the daemons' endpoints.
[[nodiscard]] Result<void> run_http(const Config& config, const std::string& version);

}  // namespace export_worker::http_shim
