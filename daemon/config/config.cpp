#include "daemon/config/config.hpp"

#include <algorithm>
#include <array>
#include <sstream>

#include "base/options/config_file.hpp"
#include "base/text.hpp"

namespace export_worker::config {
namespace {

using options::ConfigFile;
using options::Section;

void absolute_path(Section& section, std::string_view key, std::string& target) {
    section.required_text(key, target);
    if (!target.empty() && !target.starts_with('/')) {
        section.refuse(key, "expected an absolute path, found '" + printable(target) + "'");
    }
}

void octal_mode(Section& section, std::string_view key, unsigned& target) {
    std::string text;
    section.text(key, text);
    if (text.empty()) return;
    unsigned value = 0;
    for (const char digit : text) {
        if (digit < '0' || digit > '7') value = 0777'7777;
        value = value * 8 + static_cast<unsigned>(digit - '0');
    }
    if (value > 0777)
        return section.refuse(
            key, "expected an octal file mode such as 0660, found '" + printable(text) + "'");
    target = value;
}

Result<void> read_daemon(const ConfigFile& file, Config& config) {
    Section section = file.section("daemon");
    absolute_path(section, "state_dir", config.state_dir);
    config.data_endpoint = "ipc://" + config.state_dir + "/run/data.sock";
    config.control_endpoint = "ipc://" + config.state_dir + "/run/control.sock";
    section.text("data_endpoint", config.data_endpoint);
    section.text("control_endpoint", config.control_endpoint);
    octal_mode(section, "data_socket_mode", config.data_socket_mode);
    octal_mode(section, "control_socket_mode", config.control_socket_mode);
    section.text("log_level", config.log_level);
    section.number("workers", config.server_workers, 1, limits::kServerWorkersMax);
    return section.finish();
}

// Reads a key and keeps it where the plugin can see it.
void shared_text(Section& section, model::StoreSettings& store, const char* key,
                 bool required = false) {
    std::string value;
    if (required) {
        section.required_text(key, value);
    } else {
        section.text(key, value);
    }
    if (!value.empty()) store.values[key] = value;
}

void read_local_store(Section& section, model::StoreSettings& store) {
    std::string root;
    absolute_path(section, "root", root);
    while (root.size() > 1 && root.ends_with('/')) root.pop_back();
    store.values["root"] = root;
    shared_text(section, store, "base_url", true);
    absolute_path(section, "key_file", store.key_file);
}

void read_s3_store(Section& section, model::StoreSettings& store) {
    shared_text(section, store, "prefix", true);
    shared_text(section, store, "region", true);
    shared_text(section, store, "endpoint");
    shared_text(section, store, "public_endpoint");
    constexpr std::array<std::string_view, 2> kAddressing{"virtual", "path"};
    std::string addressing = "virtual";
    section.choice("addressing", addressing, kAddressing);
    store.values["addressing"] = addressing;
    constexpr std::array<std::string_view, 2> kSources{"static", "environment"};
    store.credentials_source = "static";
    section.choice("credentials", store.credentials_source, kSources);
    if (store.credentials_source == "static") {
        section.required_text("access_key_id", store.access_key_id);
        absolute_path(section, "secret_access_key_file", store.secret_key_file);
        section.text("session_token_file", store.session_token_file);
    }
    const std::string& prefix = store.values["prefix"];
    if (!prefix.empty() &&
        (!prefix.starts_with("s3://") || !prefix.ends_with('/') || prefix.size() < 9)) {
        section.refuse("prefix", "expected s3://BUCKET/ or s3://BUCKET/PATH/, found '" +
                                     printable(prefix) + "'");
    }
}

Result<void> read_stores(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("store")) {
        model::StoreSettings store;
        store.name = section.name().substr(std::string_view("store.").size());
        constexpr std::array<std::string_view, 2> kKinds{"local", "s3"};
        section.choice("kind", store.kind, kKinds);
        if (store.kind.empty() && !section.has("kind"))
            section.refuse("kind", "missing; expected local or s3");
        store.values["kind"] = store.kind;
        std::uint64_t lifetime_s = limits::kLinkLifetimeSecondsDefault;
        section.number("link_lifetime_s", lifetime_s, 1, limits::kLinkLifetimeSecondsMax);
        store.values["link_lifetime_s"] = std::to_string(lifetime_s);
        bool organization_prefix = true;
        section.boolean("organization_prefix", organization_prefix);
        store.values["organization_prefix"] = organization_prefix ? "on" : "off";
        if (store.kind == "local") read_local_store(section, store);
        if (store.kind == "s3") read_s3_store(section, store);
        EW_CHECK(section.finish());
        config.stores.push_back(std::move(store));
    }
    if (config.stores.size() > limits::kStoresMax) {
        return fail(ErrorCode::kInvalidArgument, file.path() + ": expected at most " +
                                                     std::to_string(limits::kStoresMax) +
                                                     " [store.NAME] sections");
    }
    return {};
}

Result<void> read_export(const ConfigFile& file, Config& config) {
    Section section = file.section("export");
    section.number("workers", config.export_workers, 0, limits::kExportWorkersMax);
    section.text("store", config.export_store);
    const auto usable = [&](const model::StoreSettings& store) {
        return store.kind == "local" &&
               (config.export_store.empty() || store.name == config.export_store);
    };
    const auto found = std::ranges::find_if(config.stores, usable);
    if (found != config.stores.end()) {
        config.export_store = found->name;
        config.export_root = found->values.at("root");
    } else if (config.export_workers > 0) {
        section.refuse("store",
                       config.export_store.empty()
                           ? "exports need a place to go: add a [store.NAME] with kind = local, or "
                             "set workers = 0"
                           : "expected the name of a [store.NAME] with kind = local, found '" +
                                 printable(config.export_store) + "'");
    }
    return section.finish();
}

Result<void> read_plugins(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("plugin")) {
        PluginConfig plugin;
        plugin.name = section.name().substr(std::string_view("plugin.").size());
        absolute_path(section, "file", plugin.file);
        section.text("golden_file", plugin.golden_file);
        if (!plugin.golden_file.empty() && !plugin.golden_file.starts_with('/')) {
            section.refuse("golden_file", "expected an absolute path, found '" +
                                              printable(plugin.golden_file) + "'");
        }
        plugin.values = section.take_rest();
        EW_CHECK(section.finish());
        config.plugins.push_back(std::move(plugin));
    }
    return {};
}

Result<void> read_reload(const ConfigFile& file, ReloadConfig& reload) {
    Section section = file.section("plugins");
    section.number("bake_s", reload.bake_s, 0, 86'400);
    section.number("bake_failure_percent", reload.bake_failure_percent, 0, 100);
    section.number("bake_latency_factor", reload.bake_latency_factor, 1, 1000);
    section.number("bake_stall_ms", reload.bake_stall_ms, 10, 60'000);
    section.number("drain_s", reload.drain_s, 1, 3'600);
    section.number("probe_timeout_s", reload.probe_timeout_s, 1, 300);
    section.number("generations_max", reload.generations_max, 2, limits::kPluginGenerationsMax);
    constexpr std::array<std::string_view, 2> kRetire{"park", "unmap"};
    std::string retire = "park";
    section.choice("retire", retire, kRetire);
    reload.unmap = retire == "unmap";
    section.boolean("watch", reload.watch);
    std::string libraries;
    section.text("allow_needed", libraries);
    std::istringstream words(libraries);
    for (std::string word; words >> word;) reload.allow_needed.push_back(word);
    return section.finish();
}

}  // namespace

Result<Config> read_config(const std::string& path) {
    EW_TRY(const ConfigFile file, ConfigFile::read(path));
    EW_CHECK(options::check_known_sections(file));
    Config config;
    EW_CHECK(read_daemon(file, config));
    EW_CHECK(read_stores(file, config));
    EW_CHECK(read_export(file, config));
    EW_CHECK(read_plugins(file, config));
    EW_CHECK(read_reload(file, config.reload));
    return config;
}

}  // namespace export_worker::config
