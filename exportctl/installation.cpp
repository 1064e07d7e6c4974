#include "exportctl/installation.hpp"

namespace export_worker::exportctl {

std::string Installation::value(const std::string& section, const std::string& key) const {
    const auto found = values.find(section);
    if (found == values.end()) return {};
    const auto value = found->second.find(key);
    return value == found->second.end() ? std::string() : value->second;
}

std::vector<std::string> Installation::stores(const std::string& kind) const {
    std::vector<std::string> out;
    for (const auto& entry : values) {
        if (entry.first.starts_with("store.") &&
            (kind.empty() || value(entry.first, "kind") == kind))
            out.push_back(entry.first);
    }
    return out;
}

std::vector<std::pair<std::string, std::string>> Installation::key_files() const {
    std::vector<std::pair<std::string, std::string>> out;
    for (const auto& [section, keys] : values) {
        if (section.starts_with("plugin.")) continue;  // Its other keys are the plugin's own.
        for (const auto& [key, path] : keys) {
            if (key.ends_with("_file") && path.starts_with('/'))
                out.emplace_back("[" + section + "] " + key, path);
        }
    }
    return out;
}

Result<Installation> read_installation(const std::string& config_path) {
    EW_TRY(const auto file, options::ConfigFile::read(config_path));
    Installation out;
    out.config_path = config_path;
    out.values = file.values();
    options::Section daemon = file.section("daemon");
    daemon.required_text("state_dir", out.state_dir);
    out.data_endpoint = "ipc://" + out.state_dir + "/run/data.sock";
    out.control_endpoint = "ipc://" + out.state_dir + "/run/control.sock";
    daemon.text("data_endpoint", out.data_endpoint);
    daemon.text("control_endpoint", out.control_endpoint);
    daemon.octal_mode("data_socket_mode", out.data_socket_mode);
    daemon.octal_mode("control_socket_mode", out.control_socket_mode);
    (void)daemon.take_rest();
    EW_CHECK(daemon.finish());
    options::Section http = file.section("http");
    http.words("listen", out.listen);
    return out;
}

}  // namespace export_worker::exportctl
