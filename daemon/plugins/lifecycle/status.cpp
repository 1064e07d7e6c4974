// PluginHost, what operators see.

#include <algorithm>

#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "daemon/plugins/probing/process_guard.hpp"

namespace export_worker::plugins {
namespace {

std::chrono::microseconds as_us(std::chrono::nanoseconds time) {
    return std::chrono::duration_cast<std::chrono::microseconds>(time);
}

std::string in_seconds(std::chrono::nanoseconds time) {
    return std::to_string(std::chrono::duration_cast<std::chrono::seconds>(time).count()) + " s";
}

GenerationStatus status_of(const Loaded& loaded, std::string state) {
    const Generation& generation = *loaded.generation;
    const TrafficStats traffic = generation.traffic();
    GenerationStatus out;
    out.number = generation.number();
    out.state = std::move(state);
    out.version = generation.manifest().version;
    out.build_id = generation.manifest().build_id;
    out.sha256 = generation.sha256();
    out.file = loaded.file;
    out.handled = traffic.handled;
    out.faults = generation.faults();
    out.p50 = as_us(traffic.quantile(0.5));
    out.p99 = as_us(traffic.quantile(0.99));
    out.pinned_by = loaded.pinned_by;
    out.shadow = generation.shadow().read();
    return out;
}

}  // namespace

void add_counters(std::map<std::string, CounterValue>& sums, const Generation& generation) {
    for (const CounterValue& counter : generation.services().counters()) {
        CounterValue& sum = sums[counter.name];
        sum.name = counter.name;
        sum.help = counter.help;
        sum.value += counter.value;
    }
}

std::optional<std::string> late_load_alarm(const std::string& plugin, std::uint64_t report,
                                           std::chrono::nanoseconds running,
                                           std::chrono::milliseconds probe_timeout) {
    // The probe and the calls of a load, each with its time-out, and a disk that is slow.
    if (running <= 2 * probe_timeout + std::chrono::seconds(5)) return std::nullopt;
    return "plugin " + plugin + ": report " + std::to_string(report) + " has been worked on for " +
           in_seconds(running) + "; other loads wait for it; restart the daemon when convenient";
}

std::string PluginHost::name_of(RetiredState state) {
    switch (state) {
        case RetiredState::kDraining:
        case RetiredState::kEnding: return "draining";
        case RetiredState::kStuck: return "stuck";
        case RetiredState::kParked: return "parked";
        case RetiredState::kLingering: return "lingering";
    }
    return "";
}

PluginStatus PluginHost::status_of_plugin(const std::string& name, const Plugin& plugin) const {
    const Generation& active = *plugin.active->generation;
    PluginStatus out;
    out.name = name;
    out.version = active.manifest().version;
    out.generation = active.number();
    out.build_id = active.manifest().build_id;
    out.sha256 = active.sha256();
    out.file = plugin.active->file;
    out.methods = active.methods();
    out.handled = plugin.past_handled;
    out.faults = plugin.past_faults;
    out.committed_sha256 = plugin.slot.kept.committed_sha256;
    // While it bakes: what the commit will make of it.
    out.pinned = plugin.bake ? plugin.slot.ends_as.pinned : plugin.slot.kept.pinned;
    out.unmapped = plugin.unmapped;
    std::map<std::string, CounterValue> counters = plugin.past_counters;
    const auto add = [&](const Loaded& loaded, const std::string& state) -> GenerationStatus& {
        GenerationStatus& added = out.generations.emplace_back(status_of(loaded, state));
        added.holders = routing_.holders(*loaded.generation, now());
        out.handled += added.handled;
        out.faults += added.faults;
        add_counters(counters, *loaded.generation);
        return added;
    };
    add(*plugin.active, plugin.bake ? "baking" : "active");
    if (plugin.previous) add(*plugin.previous, "warm");
    for (auto retired = plugin.retired.rbegin(); retired != plugin.retired.rend(); ++retired) {
        add(retired->loaded, name_of(retired->state)).in_state =
            std::chrono::duration_cast<std::chrono::milliseconds>(now() - retired->since);
    }
    for (auto& [counter, value] : counters) out.counters.push_back(value);
    if (plugin.bake) {
        out.bake_left = std::chrono::duration_cast<std::chrono::milliseconds>(
            std::max(plugin.bake->end - now(), SteadyTime::duration::zero()));
        out.bake_requests_left = config_.policy.bake_requests_min -
                                 std::min(config_.policy.bake_requests_min, active.handled());
    }
    return out;
}

std::vector<PluginStatus> PluginHost::list() const {
    const std::lock_guard lock(mutex_);
    std::vector<PluginStatus> out;
    for (const auto& [name, plugin] : plugins_) {
        if (plugin.active) out.push_back(status_of_plugin(name, plugin));
    }
    return out;
}

std::map<std::string, std::string> PluginHost::methods() const {
    const std::lock_guard lock(mutex_);
    std::map<std::string, std::string> out;
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.active) continue;
        for (const PluginMethod& method : plugin.active->generation->methods())
            out.emplace(method.name, name);
    }
    return out;
}

std::map<std::string, std::uint64_t> PluginHost::reload_counts() const {
    const std::lock_guard lock(mutex_);
    return reload_counts_;
}

std::vector<std::string> PluginHost::alarms() const {
    std::vector<std::string> out;
    for (const PluginStatus& plugin : list()) add_alarms(plugin, out);
    for (const HungCall& call : calls_.hung()) {
        out.push_back(call.what + " does not return for " + in_seconds(call.running) +
                      "; restart the daemon when convenient");
    }
    for (std::string& change : lasting_changes()) out.push_back(std::move(change));
    const std::lock_guard lock(mutex_);
    if (loading_) {
        const auto late = late_load_alarm(loading_->report->plugin, loading_->report->id,
                                          now() - loading_->since, config_.policy.probe_timeout);
        if (late) out.push_back(*late);
    }
    for (const auto& [name, plugin] : plugins_) {
        if (!plugin.notice.empty()) out.push_back("plugin " + name + ": " + plugin.notice);
        if (plugin.unwritten.empty()) continue;
        out.push_back("plugin " + name +
                      ": what was decided is not written down yet, and lost if the "
                      "daemon ends now: " +
                      plugin.unwritten_because);
    }
    for (const auto& [name, left_out] : left_out_)
        out.push_back("plugin " + name + ": " + left_out.why);
    for (const auto& [name, why] : crash_notices_) out.push_back("plugin " + name + ": " + why);
    return out;
}

void PluginHost::add_alarms(const PluginStatus& plugin, std::vector<std::string>& out) {
    if (!plugin.pinned.empty() && !plugin.bake_left) {
        out.push_back("plugin " + plugin.name + ": pinned to " +
                      plugin.committed_sha256.substr(0, 16) + " by " + plugin.pinned +
                      " until the configured file changes; exportctl plugin reload " + plugin.name +
                      " takes the configured file");
    }
    if (plugin.bake_left == std::chrono::milliseconds(0) && plugin.bake_requests_left > 0) {
        out.push_back(
            "plugin " + plugin.name + ": generation " + std::to_string(plugin.generation) +
            " bakes on until " + std::to_string(plugin.bake_requests_left) +
            " more requests have come; end it with: exportctl plugin commit " + plugin.name);
    }
    for (const GenerationStatus& generation : plugin.generations) {
        const std::string which =
            "plugin " + plugin.name + " generation " + std::to_string(generation.number);
        const bool answers = generation.number == plugin.generation;
        if (answers && generation.shadow.different > 0)
            out.push_back(which + ": " + to_text(generation.shadow));
        for (const Holder& holder : generation.holders) {
            if (generation.state != "stuck") continue;
            out.push_back(which + ": " + holder.who + " is stuck in request " + holder.request_id +
                          " for " + in_seconds(holder.running) +
                          "; restart the daemon when convenient");
        }
        if (generation.state == "lingering")
            out.push_back(which + ": still mapped after it was unloaded");
    }
}

}  // namespace export_worker::plugins
