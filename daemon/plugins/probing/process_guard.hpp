// Loads a plugin into the daemon and looks whether that changed the daemon's process: a plugin can
// behave in its probe and not here.
#pragma once

#include <memory>

#include "daemon/plugins/refusal.hpp"
#include "daemon/plugins/running/generation.hpp"

namespace export_worker::plugins {

// As Generation::load(). Refused, too (load_failed): load, create, describe or self test changed
// the process or the calling thread (process_state.hpp), or stdin, stdout or stderr. Limits,
// working directory, umask, locale, signals, interval timers, signal mask, floating-point mode and
// stdio are put back first; the refusal says whether all is as it was. Other descriptors are not
// compared: other threads open and close them meanwhile. [loader-thread]
[[nodiscard]] Judged<std::unique_ptr<Generation>> load_guarded(Generation::Setup setup);

}  // namespace export_worker::plugins
