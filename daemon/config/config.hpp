// The daemon's configuration, validated as a whole before anything starts.
//
// etc/export-worker.ini shows every key with its default.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/limits.hpp"
#include "base/result.hpp"
#include "daemon/model/store_settings.hpp"

namespace export_worker::config {

struct PluginConfig {
    std::string name;
    std::string file;                           // Absolute path of the .so.
    std::map<std::string, std::string> values;  // The other keys of its section.
};

struct Config {
    std::string state_dir;  // Databases, staged plugins, the lock. Absolute.
    std::string data_endpoint;
    std::string control_endpoint;
    std::string log_level = "info";
    unsigned data_socket_mode = 0660;
    unsigned control_socket_mode = 0600;
    unsigned server_workers = 4;
    unsigned export_workers = 1;
    std::string export_store;  // Name of the local store exports are written to.
    std::string export_root;   // Its directory.
    std::vector<model::StoreSettings> stores;
    std::vector<PluginConfig> plugins;
};

// Errors: kInvalidArgument (unknown key or section, bad value, contradiction), naming file, section
// and key; kNotFound when there is no such file.
[[nodiscard]] Result<Config> read_config(const std::string& path);

}  // namespace export_worker::config
