#include "daemon/plugins/lifecycle/roster.hpp"

#include <algorithm>
#include <memory>

namespace export_worker::plugins {

bool RosterState::serves(const std::string& plugin) const {
    const auto found = plugins.find(plugin);
    return found != plugins.end() && found->second.active;
}

bool RosterState::bakes(const std::string& plugin) const {
    const auto found = plugins.find(plugin);
    return found != plugins.end() && found->second.bake;
}

const Generation& RosterState::active(const std::string& plugin) const {
    return *plugins.at(plugin).active->generation;
}

const Generation* find_replaced(const RosterState& roster, const std::string& plugin,
                                std::uint64_t generation) {
    const auto found = roster.plugins.find(plugin);
    if (found == roster.plugins.end()) return nullptr;
    const auto is_it = [&](const Loaded& loaded) {
        return loaded.generation->number() == generation;
    };
    const PluginEntry& entry = found->second;
    if (entry.previous && is_it(*entry.previous)) return entry.previous->generation.get();
    const auto retired = std::ranges::find_if(
        entry.retired, [&](const RetiredGeneration& each) { return is_it(each.loaded); });
    return retired == entry.retired.end() ? nullptr : retired->loaded.generation.get();
}

Roster::Roster(const Clock& clock, std::map<std::string, std::string> crash_notices)
    : clock_(clock) {
    state_.crash_notices = std::move(crash_notices);
}

void Roster::serve(const std::string& plugin, Loaded loaded, bool keep_warm) {
    std::optional<Loaded> old = change([&](RosterState& state) {
        PluginEntry& entry = state.plugins[plugin];
        auto before = std::exchange(entry.active, std::move(loaded));
        if (keep_warm) {
            entry.bake = RunningBake{SteadyTime::max(), before->generation->traffic(), 0};
            entry.previous = std::exchange(before, std::nullopt);
        }
        state.left_out.erase(plugin);
        return before;
    });
    publish_routes();
    if (old) retire(plugin, std::move(*old));
}

void Roster::serve_warm(const std::string& plugin) {
    std::optional<Loaded> bad = change_plugin(plugin, [](PluginEntry& entry) {
        entry.bake.reset();
        return std::exchange(entry.active, std::exchange(entry.previous, std::nullopt));
    });
    publish_routes();
    retire(plugin, std::move(*bad));
}

void Roster::retire_warm(const std::string& plugin) {
    std::optional<Loaded> old = change_plugin(plugin, [](PluginEntry& entry) {
        entry.bake.reset();
        return std::exchange(entry.previous, std::nullopt);
    });
    publish_routes();
    if (old) retire(plugin, std::move(*old));
}

void Roster::retire(const std::string& plugin, Loaded loaded) {
    change_plugin(plugin, [&](PluginEntry& entry) {
        entry.retired.push_back({std::move(loaded), RetiredState::kDraining, clock_.steady()});
    });
}

void Roster::publish_routes() {
    auto routes = std::make_unique<Routes>();
    bool bakes = false;
    for (const auto& [name, entry] : state().plugins) {
        if (!entry.active) continue;
        bakes = bakes || entry.bake.has_value();
        for (const PluginMethod& method : entry.active->generation->methods()) {
            Route route{entry.active->generation.get(), nullptr, method.idempotent};
            if (entry.previous) {
                const auto& before = entry.previous->generation->methods();
                const bool same =
                    std::ranges::find(before, method.name, &PluginMethod::name) != before.end();
                if (same) route.fallback = entry.previous->generation.get();
            }
            routes->emplace(method.name, route);
        }
    }
    any_bakes_.store(bakes);
    routing_.publish(std::move(routes));
}

std::map<std::string, PluginEntry> Roster::take_plugins() {
    const std::lock_guard lock(mutex_);
    return std::exchange(state_.plugins, {});
}

}  // namespace export_worker::plugins
