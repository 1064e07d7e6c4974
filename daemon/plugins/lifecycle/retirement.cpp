#include "daemon/plugins/lifecycle/retirement.hpp"

#include <algorithm>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "daemon/plugins/lifecycle/status.hpp"
#include "daemon/plugins/running/crash_record.hpp"

namespace export_worker::plugins {
namespace {

std::vector<RetiredGeneration>::iterator find_ending(PluginEntry& entry, std::uint64_t generation) {
    const auto found = std::ranges::find_if(entry.retired, [&](const RetiredGeneration& retired) {
        return retired.loaded.generation->number() == generation &&
               retired.state == RetiredState::kEnding;
    });
    EW_ASSERT(found != entry.retired.end());
    return found;
}

// Unmapped: only its counts stay.
void forget(PluginEntry& entry, std::vector<RetiredGeneration>::iterator gone) {
    const Generation& generation = *gone->loaded.generation;
    entry.past_handled += generation.handled();
    entry.past_faults += generation.faults();
    add_counters(entry.past_counters, generation);
    ++entry.unmapped;
    entry.retired.erase(gone);
}

}  // namespace

void Retirement::advance(const Policy& policy) {
    for (const auto& [plugin, entry] : roster_.state().plugins) {
        for (const RetiredGeneration& retired : entry.retired) {
            if (retired.state != RetiredState::kDraining) continue;
            if (!roster_.routing().is_pinned(*retired.loaded.generation)) {
                post_end(plugin, retired, policy);
            } else if (clock_.steady() - retired.since >= policy.drain) {
                give_up(plugin, retired);
            }
        }
    }
}

void Retirement::set_state(const std::string& plugin, std::uint64_t generation,
                           RetiredState state) {
    roster_.change_plugin(plugin, [&](PluginEntry& entry) {
        for (RetiredGeneration& retired : entry.retired) {
            if (retired.loaded.generation->number() == generation) retired.state = state;
        }
    });
}

void Retirement::give_up(const std::string& plugin, const RetiredGeneration& retired) {
    const Generation& generation = *retired.loaded.generation;
    for (const Holder& holder : roster_.routing().holders(generation, clock_.steady())) {
        log_error(
            "plugin {} generation {}: {} is stuck in request {} for {} s; the generation stays for "
            "ever",
            plugin, generation.number(), holder.who, holder.request_id,
            std::chrono::duration_cast<std::chrono::seconds>(holder.running).count());
    }
    set_state(plugin, generation.number(), RetiredState::kStuck);
}

// Its code may hang: the loader waits for it, nobody else does.
void Retirement::post_end(const std::string& plugin, const RetiredGeneration& retired,
                          const Policy& policy) {
    Generation* const generation = retired.loaded.generation.get();
    const bool unmap = policy.unmap && retired.loaded.pinned_by.empty();
    set_state(plugin, generation->number(), RetiredState::kEnding);
    loader_.post([this, plugin, generation, unmap, timeout = policy.probe_timeout] {
        const bool ended = calls_.end(*generation, timeout, unmap);
        fault_point("plugin.ended");
        const bool gone = ended && unmap && !generation->is_mapped();
        if (gone) {
            forget_image(generation->path());
            artifacts_.drop_live_copy(generation->path());
        }
        ended_.put({plugin, generation->number(), ended, unmap, gone});
    });
}

void Retirement::take_ended() {
    for (const Ended& end : ended_.take()) {
        roster_.change_plugin(end.plugin, [&](PluginEntry& entry) {
            const auto found = find_ending(entry, end.generation);
            found->state = !end.ended  ? RetiredState::kStuck
                           : end.unmap ? RetiredState::kLingering
                                       : RetiredState::kParked;
            if (end.gone) forget(entry, found);
        });
    }
}

void Retirement::end_now(Loaded& loaded, const Policy& policy) {
    if (!calls_.end(*loaded.generation, policy.probe_timeout, false))
        leave_alone(std::move(loaded.generation));
}

void Retirement::end_all(History& history, const Policy& policy) {
    std::map<std::string, PluginEntry> plugins = roster_.take_plugins();
    for (const Ended& end : ended_.take())
        find_ending(plugins[end.plugin], end.generation)->state =
            end.ended ? RetiredState::kParked : RetiredState::kStuck;
    for (auto& [name, entry] : plugins) {
        if (entry.bake) {
            if (auto cleared = history.clear_baking(name); !cleared)
                log_error("plugin {}: {}", name, cleared.error().message);
            fault_point("plugin.bake_forgotten");
        }
        for (auto* loaded : {&entry.active, &entry.previous}) {
            if (*loaded) end_now(**loaded, policy);
        }
        for (RetiredGeneration& retired : entry.retired) {
            const bool runs =
                retired.state == RetiredState::kDraining || retired.state == RetiredState::kEnding;
            if (runs) end_now(retired.loaded, policy);
            if (retired.state == RetiredState::kStuck)
                leave_alone(std::move(retired.loaded.generation));
        }
    }
    calls_.forgive();
}

}  // namespace export_worker::plugins
