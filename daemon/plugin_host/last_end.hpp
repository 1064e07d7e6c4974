// What the end of the process before says about its plugins.
//
// A call in which the daemon died twice in a row quarantines the file. Once is not enough: an
// operator's kill -9 or a power cut can fall into any call.
#pragma once

#include "base/result.hpp"
#include "daemon/plugin_host/history.hpp"

namespace export_worker::plugin_host {

// Counts, logs and quarantines. Once per process, before any plugin is loaded. True: the process
// before ended inside a call into a plugin, so a file that was baking is not to blame. Errors:
// those of the history.
[[nodiscard]] Result<bool> judge_last_end(History& history);

}  // namespace export_worker::plugin_host
