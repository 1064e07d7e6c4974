// The sockets that systemd has made for a service (socket activation, sd_listen_fds(3)).
#pragma once

#include <vector>

#include "base/result.hpp"
#include "base/unique_fd.hpp"

namespace export_worker::service_manager {

// The listening stream sockets handed over to this process; none without socket activation. They
// are close-on-exec afterwards, and a second call returns none. Errors: kFailedPrecondition when
// there are more than kHttpListenersMax, or one is something else. [one-owner]
[[nodiscard]] Result<std::vector<UniqueFd>> inherited_listeners();

}  // namespace export_worker::service_manager
