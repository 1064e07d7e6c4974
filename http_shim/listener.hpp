// The io thread: accepts connections, serves them, and ends in order on SIGTERM.
#pragma once

#include <string>
#include <vector>

#include "base/result.hpp"
#include "http_shim/config.hpp"

namespace export_worker::http_shim {

// Whether the IPv6 socket `where` is for IPv6 alone, because another entry has its port:
// "0.0.0.0:80 [::]:80". Without one, [::] takes IPv4 as well.
[[nodiscard]] bool leaves_ipv4(const std::string& where, const std::vector<std::string>& listen);

// Returns after SIGINT or SIGTERM, once no request is left or kHttpDrainTimeout has passed.
// Errors: an address cannot be listened on, or systemd has handed nothing over.
[[nodiscard]] Result<void> run_http(const Config& config, const std::string& version);

}  // namespace export_worker::http_shim
