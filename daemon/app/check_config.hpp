// --check-config: would a start with this configuration go well?
#pragma once

#include "base/options/check_command.hpp"
#include "daemon/config/config.hpp"

namespace export_worker::app {

// Opens, as the user of this process, what `config` names: files with what must be in them, stores,
// plugins, databases, addresses. Changes nothing, and runs no plugin. Credentials that come over a
// network are asked for. While a daemon holds the state directory, its addresses are in use and are
// left out. `told`: what read_config() has collected, which is not told again.
[[nodiscard]] options::ConfigCheck check_config(const config::Config& config,
                                                const options::Problems& told);

}  // namespace export_worker::app
