#include "daemon/plugins/lifecycle/transitions.hpp"

#include <utility>
#include <vector>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"

namespace export_worker::plugins {
namespace {

using Kind = SlotEffect::Kind;

constexpr std::chrono::seconds kWriteAgainAfter{1};

void fault_point_after(Kind kind) {
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
Result<void> Transitions::change(const std::string& plugin, const SlotEvent& event,
                                 std::optional<Loaded> loaded) {
    const auto found = roster_.state().plugins.find(plugin);
    const bool is_new = found == roster_.state().plugins.end();
    const SlotStep next = step(is_new ? SlotState{} : found->second.slot, event);
    bool changed = false;
    for (const SlotEffect& effect : next.effects) {
        auto done = carry_out(plugin, effect, next.state, loaded);
        fault_point_after(effect.kind);
        if (!done && !changed) {
            // Not published: nobody may be in it.
            if (loaded) roster_.retire(plugin, std::move(*loaded));
            return fail(std::move(done.error()));
        }
        if (!done) {
            log_error("plugin {}: not written down{}: {}", plugin,
                      effect.kind == Kind::kCommit ? " as committed" : "", done.error().message);
            roster_.change_plugin(plugin, [&](PluginEntry& entry) {
                entry.unwritten.push_back(effect);
                entry.unwritten_because = done.error().message;
                entry.write_again = clock_.steady() + kWriteAgainAfter;
            });
        }
        changed = true;
    }
    roster_.change_plugin(plugin, [&](PluginEntry& entry) { entry.slot = next.state; });
    return {};
}

void Transitions::write_again() {
    for (const auto& [plugin, entry] : roster_.state().plugins) {
        if (!entry.unwritten.empty() && clock_.steady() >= entry.write_again)
            write_again(plugin, entry);
    }
}

// The record as it is to be now: something newer may have been decided since.
void Transitions::write_again(const std::string& plugin, const PluginEntry& entry) {
    std::vector<SlotEffect> left;
    std::string because;
    std::optional<Loaded> nothing;
    for (const SlotEffect& effect : entry.unwritten) {
        const bool is_quarantine = effect.kind == Kind::kQuarantine;
        if (!is_quarantine && !entry.slot.warm.empty()) continue;  // A newer bake has its own mark.
        auto done = carry_out(plugin, effect, entry.slot, nothing);
        if (done) continue;
        left.push_back(effect);
        because = done.error().message;
    }
    if (left.empty()) log_info("plugin {}: what had not been written down is written", plugin);
    roster_.change_plugin(plugin, [&](PluginEntry& changed) {
        changed.unwritten = std::move(left);
        changed.unwritten_because = because;
        changed.write_again = clock_.steady() + kWriteAgainAfter;
    });
}

Result<void> Transitions::carry_out(const std::string& plugin, const SlotEffect& effect,
                                    const SlotState& next, std::optional<Loaded>& loaded) {
    switch (effect.kind) {
        case Kind::kMark: return history_.set_baking(plugin, effect.sha256);
        case Kind::kUnmark: return history_.clear_baking(plugin);
        case Kind::kCommit:
            return history_.commit(plugin, next.kept.committed_sha256, next.kept.configured_sha256,
                                   next.kept.pinned);
        case Kind::kUnpin: return history_.unpin(plugin);
        case Kind::kQuarantine:
            log_error("plugin {}: {} is quarantined: {}", plugin, effect.sha256.substr(0, 16),
                      effect.why);
            return history_.quarantine(plugin, effect.sha256, effect.why);
        case Kind::kServeLoaded:
            EW_ASSERT(loaded.has_value());
            roster_.serve(plugin, *std::exchange(loaded, std::nullopt), !next.warm.empty());
            return {};
        case Kind::kServeWarm: roster_.serve_warm(plugin); return {};
        case Kind::kRetireWarm: roster_.retire_warm(plugin); return {};
    }
    return {};
}

}  // namespace export_worker::plugins
