// What a plugin is told of the configuration: its own section, and every store without its secrets.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "daemon/config/config.hpp"

namespace export_worker::app {

// Keys of [plugin.NAME] as they are, those of [store.S] as "store.S.key".
[[nodiscard]] inline std::map<std::string, std::string> plugin_settings(
    const config::PluginConfig& plugin, const std::vector<model::StoreSettings>& stores) {
    std::map<std::string, std::string> out = plugin.values;
    for (const model::StoreSettings& store : stores) {
        for (const auto& [key, value] : store.values)
            out["store." + store.name + "." + key] = value;
    }
    return out;
}

}  // namespace export_worker::app
