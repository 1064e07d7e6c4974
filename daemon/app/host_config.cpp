#include "daemon/app/host_config.hpp"

namespace export_worker::app {
namespace {

std::map<std::string, std::string> settings_of(const config::PluginConfig& plugin,
                                               const std::vector<model::StoreSettings>& stores,
                                               const MarkedStore& marked) {
    std::map<std::string, std::string> out = plugin.values;
    for (const model::StoreSettings& store : stores) {
        for (const auto& [key, value] : store.values)
            out["store." + store.name + "." + key] = value;
        if (store.kind == "local" && store.name == marked.name)
            out["store." + store.name + ".registry"] = marked.registry_id;
    }
    return out;
}

plugins::Policy policy_of(const config::ReloadConfig& reload) {
    plugins::Policy out;
    out.bake = std::chrono::seconds(reload.bake_s);
    out.bounds.failure_percent_max = static_cast<double>(reload.bake_failure_percent);
    out.bounds.latency_factor_max = static_cast<double>(reload.bake_latency_factor);
    out.bounds.stall_max = std::chrono::milliseconds(reload.bake_stall_ms);
    out.bake_requests_min = reload.bake_requests_min;
    out.bake_shadow = reload.bake_shadow;
    out.drain = std::chrono::seconds(reload.drain_s);
    out.probe_timeout = std::chrono::seconds(reload.probe_timeout_s);
    out.generations_max = reload.generations_max;
    out.unmap = reload.unmap;
    out.watch = reload.watch;
    out.allow_needed = reload.allow_needed;
    return out;
}

}  // namespace

plugins::AllowedImports allowed_imports_of(const config::Config& config) {
    plugins::AllowedImports out;
    for (const config::PluginConfig& plugin : config.plugins)
        out[plugin.name] = plugin.allow_imports;
    return out;
}

plugins::HostConfig host_config_of(const config::Config& config,
                                   std::shared_ptr<const credentials::CredentialStore> credentials,
                                   const MarkedStore& marked) {
    plugins::HostConfig out;
    out.credentials = std::move(credentials);
    for (const config::PluginConfig& plugin : config.plugins) {
        out.plugins.push_back({plugin.name, plugin.file, plugin.golden_file,
                               settings_of(plugin, config.stores, marked)});
    }
    out.policy = policy_of(config.reload);
    out.policy.allow_imports = allowed_imports_of(config);
    return out;
}

}  // namespace export_worker::app
