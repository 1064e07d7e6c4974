#include "daemon/plugins/lifecycle/load.hpp"

#include <algorithm>

namespace export_worker::plugins {

LoadOrder order_for(const ReloadRequest& request, const HostConfig& config,
                    const RosterState& roster) {
    LoadOrder out;
    out.plugin = request.plugin;
    out.origin = request.origin();
    out.dry_run = request.dry_run;
    out.lift_quarantine = request.lift_quarantine;
    out.allowed_contract_changes = request.allowed_contract_changes;
    out.settings = request.settings;
    out.methods = methods_of(roster);
    out.policy = config.policy;
    out.credentials = config.credentials;
    out.number = roster.last_generation + 1;
    if (const PluginSetup* const setup = find_setup(config, request.plugin)) {
        out.settings = setup->settings;
        out.configured_file = setup->file;
        out.golden_file = setup->golden_file;
    }
    const auto found = roster.plugins.find(request.plugin);
    if (found == roster.plugins.end()) return out;
    const PluginEntry& entry = found->second;
    out.kept = entry.slot.kept;
    out.images = entry.abandoned + entry.retired.size();
    for (const RetiredGeneration& retired : entry.retired)
        out.image_bytes += retired.loaded.file_bytes;
    for (const auto* loaded : {&entry.active, &entry.previous}) {
        if (!*loaded) continue;
        ++out.images;
        out.image_bytes += (*loaded)->file_bytes;
    }
    if (!entry.active) return out;
    const Generation& active = *entry.active->generation;
    out.serving = Serving{active.number(), active.sha256(), entry.active->settings,
                          entry.active->credentials, active.methods()};
    return out;
}

std::map<std::string, std::string> methods_of(const RosterState& roster) {
    std::map<std::string, std::string> out;
    for (const auto& [name, entry] : roster.plugins) {
        if (!entry.active) continue;
        for (const PluginMethod& method : entry.active->generation->methods())
            out.emplace(method.name, name);
    }
    return out;
}

const PluginSetup* find_setup(const HostConfig& config, const std::string& plugin) {
    const auto found = std::ranges::find(config.plugins, plugin, &PluginSetup::name);
    return found == config.plugins.end() ? nullptr : &*found;
}

void set_generation(ReloadReport& report, const Generation& generation) {
    report.sha256 = generation.sha256();
    report.version = generation.manifest().version;
    report.build_id = generation.manifest().build_id;
    report.generation = generation.number();
}

void set_serving(ReloadReport& report, const RosterState& roster) {
    if (!roster.serves(report.plugin)) return;
    const Generation& active = roster.active(report.plugin);
    report.from_generation = active.number();
    report.from_sha256 = active.sha256();
    report.from_version = active.manifest().version;
}

}  // namespace export_worker::plugins
