// PluginHost, the supervisor: bakes are judged, old generations drain and retire.

#include <poll.h>

#include <algorithm>
#include <array>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/this_thread.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;

}  // namespace

void PluginHost::run_supervisor() {
    name_this_thread("supervisor");
    set_thread_role(ThreadRole::kSupervisor);
    while (!stopping_.load()) {
        std::array<pollfd, 2> wanted{{{wake_.fd(), POLLIN, 0}, {watch_.fd(), POLLIN, 0}}};
        const milliseconds wait = options_.parts.clock->block_for(patience());
        (void)::poll(wanted.data(), wanted.size(), static_cast<int>(wait.count()));
        wake_.clear();
        if (stopping_.load()) return;
        tick();
        take_end_results();
        take_load_results();
        begin_work();
    }
}

milliseconds PluginHost::patience() const {
    const std::lock_guard lock(mutex_);
    milliseconds out{1000};
    for (const auto& [name, plugin] : plugins_) {
        if (plugin.bake) out = std::min(out, milliseconds(50));
        for (const Retired& retired : plugin.retired) {
            if (retired.state == RetiredState::kDraining) out = std::min(out, milliseconds(2));
        }
    }
    const bool window_open = std::ranges::any_of(
        reports_, [](const auto& report) { return report->window && !report->window->closed; });
    if (window_open) out = std::min(out, milliseconds(2));
    if (watch_.unsettled()) out = std::min(out, milliseconds(50));
    return out;
}

Policy PluginHost::policy() const {
    const std::lock_guard lock(mutex_);
    return config_.policy;
}

void PluginHost::tick() {
    EW_ASSERT_ROLE(kSupervisor);
    look_at_files();
    for (auto& [name, plugin] : plugins_) {
        if (plugin.bake) watch_bake(name, plugin);
        if (!plugin.unwritten.empty() && now() >= plugin.write_again) write_again(name, plugin);
        advance_retired(name, plugin);
    }
    close_windows();
    routing_.reclaim();
}

void PluginHost::look_at_files() {
    std::vector<PluginSetup> setups;
    bool watches = false;
    {
        const std::lock_guard lock(mutex_);
        watches = config_.policy.watch;
        if (watches) setups = config_.plugins;
    }
    if (watching_changed_.exchange(false)) {
        std::vector<std::string> files;
        files.reserve(setups.size());
        for (const PluginSetup& setup : setups) files.push_back(setup.file);
        watch_.set_files(files);
    }
    for (const std::string& file : watch_.changed(now())) {
        for (const PluginSetup& setup : setups) {
            if (setup.file != file) continue;
            ReloadRequest request;
            request.trigger = "watch";
            request.plugin = setup.name;
            (void)enqueue(request);
        }
    }
}

void PluginHost::watch_bake(const std::string& name, Plugin& plugin) {
    const Generation& generation = *plugin.active->generation;
    const TrafficStats& before = plugin.bake->baseline;
    BakeEvidence evidence{before,
                          plugin.previous->generation->traffic().failed - before.failed,
                          generation.traffic(),
                          {}};
    for (const Holder& holder : routing_.holders(generation, now()))
        evidence.longest_running = std::max(evidence.longest_running, holder.running);
    const Policy policy = this->policy();
    const auto why = reason_to_roll_back(evidence, policy.bounds);
    if (why) return take_back(name, plugin, *why);
    const bool has_traffic = evidence.new_generation.handled >= policy.bake_requests_min;
    if (now() >= plugin.bake->end && has_traffic) finish_bake(name, plugin);
}

void PluginHost::finish_bake(const std::string& name, Plugin& plugin) {
    const std::uint64_t report = plugin.bake->report;
    const Generation& generation = *plugin.active->generation;
    if (auto committed = change(name, BakeEnded{}); !committed) {
        // Not written down, so it bakes on: a crash now must still find the mark.
        log_error("plugin {}: {}", name, committed.error().message);
        const std::lock_guard lock(mutex_);
        plugin.bake->end = now() + std::chrono::seconds(1);
        plugin.notice =
            "the bake goes on until its commit can be written down: " + committed.error().message;
        return;
    }
    {
        const std::lock_guard lock(mutex_);
        plugin.notice.clear();
    }
    const bool untried = generation.handled() == 0;
    const ShadowReport shadow = generation.shadow().read();
    log_info("plugin {} {} generation {}: committed{}", name, generation.manifest().version,
             generation.number(), untried ? ", though no request came while it baked" : "");
    const std::string compared = shadow.compared > 0 ? to_text(shadow) : "";
    end_report(report, "committed", untried ? "no request came while it baked" : compared);
}

void PluginHost::take_back(const std::string& name, Plugin& plugin, const std::string& why) {
    const std::uint64_t report = plugin.bake->report;
    log_error("plugin {} generation {}: taken back: {}; generation {} answers again", name,
              plugin.active->generation->number(), why, plugin.previous->generation->number());
    {
        const std::lock_guard lock(mutex_);
        plugin.notice = "the file " + plugin.active->file + " was taken back: " + why;
    }
    if (auto back = change(name, BakeFailed{why}); !back)
        log_error("plugin {}: {}", name, back.error().message);
    end_report(report, "rolled_back", why);
}

// What one turn can do for every generation that no longer serves.
void PluginHost::advance_retired(const std::string& name, Plugin& plugin) {
    const Policy policy = this->policy();
    for (Retired& retired : plugin.retired) {
        if (retired.state != RetiredState::kDraining) continue;
        if (!routing_.is_pinned(*retired.loaded.generation)) {
            post_end(name, retired, policy.unmap && retired.loaded.pinned_by.empty());
        } else if (now() - retired.since >= policy.drain) {
            give_up(name, retired);
        }
    }
}

void PluginHost::give_up(const std::string& name, Retired& retired) {
    const Generation& generation = *retired.loaded.generation;
    for (const Holder& holder : routing_.holders(generation, now())) {
        log_error(
            "plugin {} generation {}: {} is stuck in request {} for {} s; the generation stays for "
            "ever",
            name, generation.number(), holder.who, holder.request_id,
            std::chrono::duration_cast<std::chrono::seconds>(holder.running).count());
    }
    const std::lock_guard lock(mutex_);
    retired.state = RetiredState::kStuck;
}

// Its code may hang: the loader waits for it, nobody else does.
void PluginHost::post_end(const std::string& name, Retired& retired, bool unmap) {
    {
        const std::lock_guard lock(mutex_);
        retired.state = RetiredState::kEnding;
    }
    Generation* const generation = retired.loaded.generation.get();
    loader_.post([this, name, generation, unmap, timeout = policy().probe_timeout] {
        const bool ended = calls_.end(*generation, timeout, unmap);
        fault_point("plugin.ended");
        const bool gone = ended && unmap && !generation->is_mapped();
        if (gone) artefacts_.drop_live_copy(generation->path());
        {
            const std::lock_guard lock(mutex_);
            ends_done_.push_back({name, generation->number(), ended, unmap, gone});
        }
        wake();
    });
}

void PluginHost::take_end_results() {
    std::vector<EndDone> ends;
    const std::lock_guard lock(mutex_);
    ends.swap(ends_done_);
    for (const EndDone& end : ends) {
        Plugin& plugin = plugins_[end.plugin];
        const auto found = std::ranges::find_if(plugin.retired, [&](const Retired& retired) {
            return retired.loaded.generation->number() == end.generation &&
                   retired.state == RetiredState::kEnding;
        });
        EW_ASSERT(found != plugin.retired.end());
        found->state = !end.ended  ? RetiredState::kStuck
                       : end.unmap ? RetiredState::kLingering
                                   : RetiredState::kParked;
        if (end.gone) forget(plugin, static_cast<std::size_t>(found - plugin.retired.begin()));
    }
}

// Unmapped: only its counts stay. Under mutex_.
void PluginHost::forget(Plugin& plugin, std::size_t retired) {
    const auto gone = plugin.retired.begin() + static_cast<std::ptrdiff_t>(retired);
    const Generation& generation = *gone->loaded.generation;
    plugin.past_handled += generation.handled();
    plugin.past_faults += generation.faults();
    add_counters(plugin.past_counters, generation);
    ++plugin.unmapped;
    plugin.retired.erase(gone);
}

// A window is open as long as requests are in the generation that answered before.
void PluginHost::close_windows() {
    const std::lock_guard lock(mutex_);
    for (const auto& report : reports_) {
        if (!report->window || report->window->closed) continue;
        const auto plugin = plugins_.find(report->plugin);
        const Generation* old = nullptr;
        if (plugin != plugins_.end()) {
            const auto look = [&](const Loaded& loaded) {
                if (loaded.generation->number() == report->from_generation)
                    old = loaded.generation.get();
            };
            if (plugin->second.previous) look(*plugin->second.previous);
            for (const Retired& retired : plugin->second.retired) look(retired.loaded);
        }
        SwapWindow& window = *report->window;
        window.took = std::chrono::duration_cast<std::chrono::microseconds>(now() - window.opened);
        const bool too_long = window.took > config_.policy.drain;
        if (old != nullptr && routing_.is_running(*old) && !too_long) continue;
        window.after = options_.ledger->read();
        window.closed = true;
    }
}

// Only while no load is under way: the file that is being loaded is worth keeping, too.
void PluginHost::forget_old_artefacts() {
    auto wanted = history_->worth_keeping();
    if (!wanted) return;
    for (const auto& [name, plugin] : plugins_) {
        if (plugin.active) wanted->insert(plugin.active->generation->sha256());
        if (plugin.previous) wanted->insert(plugin.previous->generation->sha256());
    }
    artefacts_.keep_only(*wanted);
    fault_point("plugin.artefacts_forgotten");
}

}  // namespace export_worker::plugins
