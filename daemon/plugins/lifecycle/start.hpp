// A start of one plugin: history comes first, then the configured file is tried.
#pragma once

#include "daemon/plugins/lifecycle/load.hpp"

namespace export_worker::plugins {

// Judges what baked when the process before ended, and loads what was committed.
// [supervisor-thread]
[[nodiscard]] Next begin_start(const LifecycleDeps& deps, const HostConfig& config,
                               const ReloadReport& report);
// The next file of a start that has not ended. [supervisor-thread]
[[nodiscard]] Next try_next_of_start(const LifecycleDeps& deps, const HostConfig& config,
                                     Load load);
// A file of a start was refused. If none serves, the plugin is left out. [supervisor-thread]
[[nodiscard]] Next continue_refused_start(const LifecycleDeps& deps, const HostConfig& config,
                                          Load load, const LoadFailure& failure);

}  // namespace export_worker::plugins
