// PluginHost: carries out what slot.hpp says.

#include <algorithm>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::plugins {
namespace {

void fault_point_after(SlotEffect::Kind kind) {
    using Kind = SlotEffect::Kind;
    switch (kind) {
        case Kind::kMark: return fault_point("plugin.bake_marked");
        case Kind::kUnmark: return fault_point("plugin.bake_unmarked");
        case Kind::kCommit: return fault_point("plugin.commit_written");
        case Kind::kUnpin: return fault_point("plugin.unpinned");
        case Kind::kQuarantine: return fault_point("plugin.quarantined");
        case Kind::kServeLoaded: return fault_point("plugin.published");
        case Kind::kServeWarm: return fault_point("plugin.warm_published");
        case Kind::kRetireWarm: return fault_point("plugin.warm_retired");
    }
}

}  // namespace

// The state changes with the first effect that cannot be undone; a record that cannot be written
// before that leaves everything as it is.
Result<void> PluginHost::change(const std::string& name, const SlotEvent& event,
                                std::optional<Loaded> loaded) {
    SlotState state;
    {
        const std::lock_guard lock(mutex_);
        state = plugins_[name].slot;
    }
    const SlotStep next = step(state, event);
    bool changed = false;
    for (const SlotEffect& effect : next.effects) {
        auto done = carry_out(name, effect, next.state, loaded);
        fault_point_after(effect.kind);
        if (!done && !changed) {
            // Not published: nobody may be in it.
            if (loaded) retire(plugins_[name], std::move(*loaded));
            return fail(std::move(done.error()));
        }
        if (!done) {
            log_error("plugin {}: not written down{}: {}", name,
                      effect.kind == SlotEffect::Kind::kCommit ? " as committed" : "",
                      done.error().message);
            const std::lock_guard lock(mutex_);
            plugins_[name].unwritten.push_back(effect);
            plugins_[name].unwritten_because = done.error().message;
            plugins_[name].write_again = now() + std::chrono::seconds(1);
        }
        changed = true;
    }
    const std::lock_guard lock(mutex_);
    plugins_[name].slot = next.state;
    return {};
}

// The record as it is to be now: something newer may have been decided since.
void PluginHost::write_again(const std::string& name, Plugin& plugin) {
    const SlotState state = plugin.slot;
    std::vector<SlotEffect> left;
    std::string because;
    std::optional<Loaded> nothing;
    for (const SlotEffect& effect : plugin.unwritten) {
        const bool is_quarantine = effect.kind == SlotEffect::Kind::kQuarantine;
        if (!is_quarantine && !state.warm.empty()) continue;  // A newer bake has its own mark.
        auto done = carry_out(name, effect, state, nothing);
        if (done) continue;
        left.push_back(effect);
        because = done.error().message;
    }
    const std::lock_guard lock(mutex_);
    if (left.empty()) log_info("plugin {}: what had not been written down is written", name);
    plugin.unwritten = std::move(left);
    plugin.unwritten_because = because;
    plugin.write_again = now() + std::chrono::seconds(1);
}

Result<void> PluginHost::carry_out(const std::string& name, const SlotEffect& effect,
                                   const SlotState& next, std::optional<Loaded>& loaded) {
    using Kind = SlotEffect::Kind;
    switch (effect.kind) {
        case Kind::kMark: return history_->set_baking(name, effect.sha256);
        case Kind::kUnmark: return history_->clear_baking(name);
        case Kind::kCommit:
            return history_->commit(name, next.kept.committed_sha256, next.kept.configured_sha256,
                                    next.kept.pinned);
        case Kind::kUnpin: return history_->unpin(name);
        case Kind::kQuarantine:
            log_error("plugin {}: {} is quarantined: {}", name, effect.sha256.substr(0, 16),
                      effect.why);
            return history_->quarantine(name, effect.sha256, effect.why);
        case Kind::kServeLoaded:
            EW_ASSERT(loaded.has_value());
            serve(name, std::move(*loaded), !next.warm.empty());
            loaded.reset();
            return {};
        case Kind::kServeWarm: serve_warm(name); return {};
        case Kind::kRetireWarm: {
            Plugin& plugin = plugins_[name];
            std::optional<Loaded> old;
            {
                const std::lock_guard lock(mutex_);
                old = std::exchange(plugin.previous, std::nullopt);
                plugin.bake.reset();
            }
            publish_routes();
            if (old) retire(plugin, std::move(*old));
            return {};
        }
    }
    return {};
}

void PluginHost::serve(const std::string& name, Loaded loaded, bool keep_warm) {
    Plugin& plugin = plugins_[name];
    std::optional<Loaded> old;
    {
        const std::lock_guard lock(mutex_);
        old = std::exchange(plugin.active, std::move(loaded));
        if (keep_warm) {
            plugin.bake = Bake{SteadyTime::max(), old->generation->traffic(), 0};
            plugin.previous = std::exchange(old, std::nullopt);
        }
        left_out_.erase(name);
    }
    publish_routes();
    if (old) retire(plugin, std::move(*old));
}

void PluginHost::serve_warm(const std::string& name) {
    Plugin& plugin = plugins_[name];
    std::optional<Loaded> bad;
    {
        const std::lock_guard lock(mutex_);
        bad = std::exchange(plugin.active, std::exchange(plugin.previous, std::nullopt));
        plugin.bake.reset();
    }
    publish_routes();
    retire(plugin, std::move(*bad));
}

void PluginHost::publish_routes() {
    auto routes = std::make_unique<Routes>();
    bool baking = false;
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.active) continue;
        baking = baking || plugin.bake.has_value();
        for (const PluginMethod& method : plugin.active->generation->methods()) {
            Route route{plugin.active->generation.get(), nullptr, method.idempotent};
            if (plugin.previous) {
                const auto& before = plugin.previous->generation->methods();
                const bool same =
                    std::ranges::find(before, method.name, &PluginMethod::name) != before.end();
                if (same) route.fallback = plugin.previous->generation.get();
            }
            routes->emplace(method.name, route);
        }
    }
    baking_.store(baking);
    routing_.publish(std::move(routes));
}

void PluginHost::retire(Plugin& plugin, Loaded loaded) {
    const std::lock_guard lock(mutex_);
    plugin.retired.push_back({std::move(loaded), RetiredState::kDraining, now()});
}

}  // namespace export_worker::plugins
