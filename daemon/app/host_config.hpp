// The plugin host's view of the configuration.
#pragma once

#include <memory>

#include "base/result.hpp"
#include "daemon/config/config.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::app {

// [plugin.NAME] allow_imports.
[[nodiscard]] plugins::AllowedImports allowed_imports_of(const config::Config& config);

// A plugin is told the keys of its own section as they are, and those of [store.S] as
// "store.S.key", without secrets.
[[nodiscard]] plugins::HostConfig host_config_of(
    const config::Config& config, std::shared_ptr<const credentials::CredentialStore> credentials);

}  // namespace export_worker::app
