// The plugin host's view of the configuration.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "daemon/config/config.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::app {

// [plugin.NAME] allow_imports.
[[nodiscard]] plugins::AllowedImports allowed_imports_of(const config::Config& config);

// The store that exports go to, and whose mark it has when it is local (base/store_mark.hpp).
struct MarkedStore {
    std::string name;  // Empty: none.
    std::string registry_id;
};

// A plugin is told the keys of its own section as they are, and those of [store.S] as
// "store.S.key", without secrets; of the local store that is marked also the "registry".
[[nodiscard]] plugins::HostConfig host_config_of(
    const config::Config& config, std::shared_ptr<const credentials::CredentialStore> credentials,
    const MarkedStore& marked);

}  // namespace export_worker::app
