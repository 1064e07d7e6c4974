// SIGHUP: the configuration is read again, while connections stay open.
#pragma once

#include "http_shim/deps.hpp"

namespace export_worker::http_shim {

// Reads the file of `deps.config` and takes over what can change while the shim runs
// (base/options/config_keys.cpp); the other keys that have changed are named in the log. A file
// that cannot be used, link keys included, changes nothing: the log, the metrics and /readyz say so
// until another one is taken over. Requests that are being answered see the old values or the new
// ones, never both. Blocks for the files. [the io thread]
void reload(SessionDeps& deps);

}  // namespace export_worker::http_shim
