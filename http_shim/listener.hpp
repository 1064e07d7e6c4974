// The io thread: accepts connections, serves them, and ends in order on SIGTERM.
#pragma once

#include "base/result.hpp"
#include "http_shim/config.hpp"

namespace export_worker::http_shim {

// Returns after SIGINT or SIGTERM, once no connection is left or kHttpDrainTimeout has passed.
// Errors: the address cannot be listened on.
[[nodiscard]] Result<void> run_http(const Config& config);

}  // namespace export_worker::http_shim
