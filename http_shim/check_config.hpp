// --check-config: would a start with this configuration go well, and requests be answered?
#pragma once

#include "base/options/check_command.hpp"
#include "http_shim/config.hpp"

namespace export_worker::http_shim {

// Looks, as the user of this process, at what `config` names beside the key files that
// read_config() has opened: addresses, directories of sockets, roots of stores, daemons, and
// whether the keys of [http] fit each other. Changes nothing. An address that export-httpd or its
// socket unit has is left alone. Takes up to 10 s. `told`: what read_config() has collected, which
// is not told again.
[[nodiscard]] options::ConfigCheck check_config(const Config& config,
                                                const options::Problems& told);

}  // namespace export_worker::http_shim
