// A reload or load of one plugin: which file it means, and what comes of the load.
#pragma once

#include "daemon/plugins/lifecycle/load.hpp"

namespace export_worker::plugins {

// Which file a request to load or reload means. [supervisor-thread]
[[nodiscard]] Next begin_reload(const LifecycleDeps& deps, const HostConfig& config,
                                const ReloadReport& report);
// A file has passed every stage: it serves now, and bakes or is committed. A start goes on with the
// configured file. [supervisor-thread]
[[nodiscard]] Next on_loaded(const LifecycleDeps& deps, const HostConfig& config, Load load,
                             LoadResult result);
// A file was refused in some stage. [supervisor-thread]
[[nodiscard]] Next on_load_refused(const LifecycleDeps& deps, const HostConfig& config, Load load,
                                   const LoadFailure& failure);

}  // namespace export_worker::plugins
