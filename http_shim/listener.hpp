// The io thread: accepts connections, serves them, and ends in order on SIGTERM.
#pragma once

#include <string>

#include "base/result.hpp"
#include "http_shim/config.hpp"

namespace export_worker::http_shim {

// Returns after SIGINT or SIGTERM, once no request is left or kHttpDrainTimeout has passed.
// Errors: an address cannot be listened on, or systemd has handed nothing over.
[[nodiscard]] Result<void> run_http(const Config& config, const std::string& version);

}  // namespace export_worker::http_shim
