#include "daemon/plugins/lifecycle/status.hpp"

#include <algorithm>

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

const char* name_of(RetiredState state) {
    switch (state) {
        case RetiredState::kDraining:
        case RetiredState::kEnding: return "draining";
        case RetiredState::kStuck: return "stuck";
        case RetiredState::kParked: return "parked";
        case RetiredState::kLingering: return "lingering";
    }
    return "";
}

// Its generations, with their sums.
void add_generations(PluginStatus& out, const PluginEntry& entry, const RoutingTable& routing,
                     SteadyTime now) {
    out.handled = entry.past_handled;
    out.faults = entry.past_faults;
    std::map<std::string, CounterValue> counters = entry.past_counters;
    const auto add = [&](const Loaded& loaded, const char* state) -> GenerationStatus& {
        GenerationStatus& added = out.generations.emplace_back(status_of(loaded, state));
        added.holders = routing.holders(*loaded.generation, now);
        out.handled += added.handled;
        out.faults += added.faults;
        add_counters(counters, *loaded.generation);
        return added;
    };
    add(*entry.active, entry.bake ? "baking" : "active");
    if (entry.previous) add(*entry.previous, "warm");
    for (auto retired = entry.retired.rbegin(); retired != entry.retired.rend(); ++retired) {
        add(retired->loaded, name_of(retired->state)).in_state =
            std::chrono::duration_cast<std::chrono::milliseconds>(now - retired->since);
    }
    for (auto& [counter, value] : counters) out.counters.push_back(value);
}

PluginStatus status_of_plugin(const std::string& name, const PluginEntry& entry,
                              const RoutingTable& routing, const Policy& policy, SteadyTime now) {
    const Generation& active = *entry.active->generation;
    PluginStatus out;
    out.name = name;
    out.version = active.manifest().version;
    out.generation = active.number();
    out.build_id = active.manifest().build_id;
    out.sha256 = active.sha256();
    out.file = entry.active->file;
    out.methods = active.methods();
    out.committed_sha256 = entry.slot.kept.committed_sha256;
    // While it bakes: what the commit will make of it.
    out.pinned = entry.bake ? entry.slot.ends_as.pinned : entry.slot.kept.pinned;
    out.unmapped = entry.unmapped;
    add_generations(out, entry, routing, now);
    if (!entry.bake) return out;
    out.bake_left = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::max(entry.bake->end - now, SteadyTime::duration::zero()));
    out.bake_requests_left =
        policy.bake_requests_min - std::min(policy.bake_requests_min, active.handled());
    return out;
}

constexpr const char* kRestart = "restart the daemon when convenient";

void add_alarms(const PluginStatus& plugin, std::vector<model::Alarm>& out) {
    if (!plugin.pinned.empty() && !plugin.bake_left)
        out.push_back(
            plugin_alarm(plugin.name,
                         "pinned to " + plugin.committed_sha256.substr(0, 16) + " by " +
                             plugin.pinned + " until the configured file changes",
                         "exportctl plugin reload " + plugin.name + " takes the configured file"));
    if (plugin.bake_left == std::chrono::milliseconds(0) && plugin.bake_requests_left > 0)
        out.push_back(
            plugin_alarm(plugin.name,
                         "generation " + std::to_string(plugin.generation) + " bakes on until " +
                             std::to_string(plugin.bake_requests_left) + " more requests have come",
                         "end it with: exportctl plugin commit " + plugin.name));
    for (const GenerationStatus& generation : plugin.generations) {
        const std::string which = plugin.name + " generation " + std::to_string(generation.number);
        const bool answers = generation.number == plugin.generation;
        if (answers && generation.shadow.different > 0)
            out.push_back(plugin_alarm(which, to_text(generation.shadow)));
        for (const Holder& holder : generation.holders) {
            if (generation.state != "stuck") continue;
            out.push_back(plugin_alarm(which,
                                       holder.who + " is stuck in request " + holder.request_id +
                                           " for " + in_seconds(holder.running),
                                       kRestart));
        }
        if (generation.state == "lingering")
            out.push_back(plugin_alarm(which, "still mapped after it was unloaded"));
    }
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

model::Alarm plugin_alarm(std::string subject, std::string cause, std::string remedy) {
    if (remedy.empty()) remedy = "exportctl plugin history tells what happened; load a better file";
    return {"plugin", std::move(subject), std::move(cause), std::move(remedy), 0};
}

std::optional<model::Alarm> late_load_alarm(const std::string& plugin, std::uint64_t report,
                                            std::chrono::nanoseconds running,
                                            std::chrono::milliseconds probe_timeout) {
    // The probe and the calls of a load, each with its time-out, and a disk that is slow.
    if (running <= 2 * probe_timeout + std::chrono::seconds(5)) return std::nullopt;
    return plugin_alarm(plugin,
                        "report " + std::to_string(report) + " has been worked on for " +
                            in_seconds(running) + "; other loads wait for it",
                        kRestart);
}

std::vector<PluginStatus> list_plugins(const RosterState& roster, const RoutingTable& routing,
                                       const Policy& policy, SteadyTime now) {
    std::vector<PluginStatus> out;
    for (const auto& [name, entry] : roster.plugins) {
        if (entry.active) out.push_back(status_of_plugin(name, entry, routing, policy, now));
    }
    return out;
}

std::vector<model::Alarm> alarms_of(const std::vector<PluginStatus>& plugins) {
    std::vector<model::Alarm> out;
    for (const PluginStatus& plugin : plugins) add_alarms(plugin, out);
    return out;
}

std::vector<model::Alarm> alarms_of(const std::vector<HungCall>& calls) {
    std::vector<model::Alarm> out;
    out.reserve(calls.size());
    for (const HungCall& hung : calls) {
        out.push_back(plugin_alarm(
            hung.call.plugin, hung.call.what + " does not return for " + in_seconds(hung.running),
            kRestart));
    }
    return out;
}

std::vector<model::Alarm> alarms_of(const RosterState& roster) {
    std::vector<model::Alarm> out;
    for (const auto& [name, entry] : roster.plugins) {
        if (!entry.notice.empty()) out.push_back(plugin_alarm(name, entry.notice));
        if (entry.unwritten.empty()) continue;
        out.push_back(plugin_alarm(name,
                                   "what was decided is not written down yet, and lost if the "
                                   "daemon ends now: " +
                                       entry.unwritten_because,
                                   "look at the disk under state_dir; writing is tried again by "
                                   "itself"));
    }
    for (const auto& [name, left_out] : roster.left_out)
        out.push_back(plugin_alarm(name, left_out.why));
    for (const auto& [name, why] : roster.crash_notices) out.push_back(plugin_alarm(name, why));
    return out;
}

}  // namespace export_worker::plugins
