// What the configuration says of an installation, for commands that look at it from outside.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "base/options/config_file.hpp"
#include "base/result.hpp"

namespace export_worker::exportctl {

struct Installation {
    std::string config_path;
    options::ConfigValues values;
    std::string state_dir;
    std::string data_endpoint;
    std::string control_endpoint;
    unsigned data_socket_mode = 0660;
    unsigned control_socket_mode = 0600;
    std::vector<std::string> listen{"127.0.0.1:8080"};  // Of [http].

    // As the file has it; empty: it has none.
    [[nodiscard]] std::string value(const std::string& section, const std::string& key) const;
    // The sections [store.NAME] with this kind, or all if it is empty.
    [[nodiscard]] std::vector<std::string> stores(const std::string& kind = {}) const;
    // The keys whose value is the path of a file: "[http] curve_key_file", "/etc/...".
    [[nodiscard]] std::vector<std::pair<std::string, std::string>> key_files() const;
};

// Refuses only what it needs itself; --check-config of the programs knows the rest. Errors: those
// of ConfigFile::read(), kInvalidArgument.
[[nodiscard]] Result<Installation> read_installation(const std::string& config_path);

}  // namespace export_worker::exportctl
