#include "daemon/plugins/lifecycle/bake_watch.hpp"

#include <algorithm>

#include "base/log.hpp"
#include "daemon/plugins/lifecycle/bake.hpp"

namespace export_worker::plugins {

void BakeWatch::look(const Policy& policy) {
    for (const auto& [plugin, entry] : roster_.state().plugins) {
        if (entry.bake) look_at(plugin, entry, policy);
    }
}

void BakeWatch::look_at(const std::string& plugin, const PluginEntry& entry, const Policy& policy) {
    const Generation& generation = *entry.active->generation;
    const TrafficStats& before = entry.bake->baseline;
    BakeEvidence evidence{before,
                          entry.previous->generation->traffic().failed - before.failed,
                          generation.traffic(),
                          {}};
    for (const Holder& holder : roster_.routing().holders(generation, clock_.steady()))
        evidence.longest_running = std::max(evidence.longest_running, holder.running);
    const auto why = reason_to_roll_back(evidence, policy.bounds);
    if (why) return take_back(plugin, entry, *why);
    const bool has_traffic = evidence.new_generation.handled >= policy.bake_requests_min;
    if (clock_.steady() >= entry.bake->end && has_traffic) commit(plugin, entry);
}

void BakeWatch::commit(const std::string& plugin, const PluginEntry& entry) {
    const std::uint64_t report = entry.bake->report;
    const Generation& generation = *entry.active->generation;
    if (auto committed = transitions_.change(plugin, BakeEnded{}); !committed) {
        // Not written down, so it bakes on: a crash now must still find the mark.
        log_error("plugin {}: {}", plugin, committed.error().message);
        roster_.change_plugin(plugin, [&](PluginEntry& changed) {
            changed.bake->end = clock_.steady() + std::chrono::seconds(1);
            changed.notice = "the bake goes on until its commit can be written down: " +
                             committed.error().message;
        });
        return;
    }
    roster_.change_plugin(plugin, [](PluginEntry& changed) { changed.notice.clear(); });
    const bool untried = generation.handled() == 0;
    const ShadowReport shadow = generation.shadow().read();
    log_info("plugin {} {} generation {}: committed{}", plugin, generation.manifest().version,
             generation.number(), untried ? ", though no request came while it baked" : "");
    const std::string compared = shadow.compared > 0 ? to_text(shadow) : "";
    reports_.end_bake(report, "committed", untried ? "no request came while it baked" : compared);
}

void BakeWatch::take_back(const std::string& plugin, const PluginEntry& entry,
                          const std::string& why) {
    const std::uint64_t report = entry.bake->report;
    log_error("plugin {} generation {}: taken back: {}; generation {} answers again", plugin,
              entry.active->generation->number(), why, entry.previous->generation->number());
    roster_.change_plugin(plugin, [&](PluginEntry& changed) {
        changed.notice = "the file " + changed.active->file + " was taken back: " + why;
    });
    if (auto back = transitions_.change(plugin, BakeFailed{why}); !back)
        log_error("plugin {}: {}", plugin, back.error().message);
    reports_.end_bake(report, "rolled_back", why);
}

}  // namespace export_worker::plugins
