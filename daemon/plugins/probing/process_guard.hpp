// Loads a plugin into the daemon and looks whether that changed the daemon's process: a plugin can
// behave in its probe and not here.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "daemon/plugins/refusal.hpp"
#include "daemon/plugins/running/generation.hpp"

namespace export_worker::plugins {

// As Generation::load(). Refused, too (load_failed): load, create, describe or self test changed
// the process or the calling thread (process_state.hpp), stdin, stdout or stderr, or left a child
// process. Limits, working directory, umask, locale, signals, interval timers, signal mask,
// floating-point mode and stdio are put back first, and children are killed; the refusal says
// whether all is as it was. Refused (io): fewer than kLoadDescriptors descriptors are free. Other
// descriptors are not compared: other threads open and close them meanwhile. [loader-thread]
[[nodiscard]] Verdict<std::unique_ptr<Generation>> load_guarded(Generation::Setup setup);

// What loads have changed in this process that could not be put back, as it is now, for alarms: a
// hard limit, an environment variable. [any-thread]
[[nodiscard]] std::vector<std::string> lasting_changes();

}  // namespace export_worker::plugins
