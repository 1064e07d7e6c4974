// What operators see of the plugins.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "daemon/model/alarm.hpp"
#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/roster.hpp"
#include "daemon/plugins/running/generation.hpp"
#include "daemon/plugins/running/plugin_thread.hpp"

namespace export_worker::plugins {

// One generation of a plugin, for operators.
struct GenerationStatus {
    std::uint64_t number = 0;
    std::string state;  // "active", "baking", "warm", "draining", "stuck", "parked", "lingering"
    std::string version;
    std::string build_id;
    std::string sha256;
    std::string file;
    std::uint64_t handled = 0;
    std::uint64_t faults = 0;
    std::chrono::microseconds p50{0};
    std::chrono::microseconds p99{0};
    std::vector<std::string> pinned_by;
    ShadowReport shadow;
    std::vector<Holder> holders;
    std::chrono::milliseconds in_state{0};
};

struct PluginStatus {
    std::string name;
    std::string version;
    std::uint64_t generation = 0;  // The one that answers.
    std::string build_id;
    std::string sha256;
    std::string file;  // Where the operator keeps it.
    std::vector<PluginMethod> methods;
    std::uint64_t handled = 0;  // By all generations since the start, like the next two.
    std::uint64_t faults = 0;
    std::vector<CounterValue> counters;
    std::string committed_sha256;
    std::string pinned;  // As in PluginRecord.
    std::optional<std::chrono::milliseconds> bake_left;
    std::uint64_t bake_requests_left = 0;       // Before the bake may end by itself.
    std::vector<GenerationStatus> generations;  // The newest first.
    std::uint64_t unmapped = 0;                 // Generations that are gone without a trace.
};

// Adds what the generation has counted to the sums of its plugin, by name.
void add_counters(std::map<std::string, CounterValue>& sums, const Generation& generation);

// Every plugin that serves, at `now`.
[[nodiscard]] std::vector<PluginStatus> list_plugins(const RosterState& roster,
                                                     const RoutingTable& routing,
                                                     const Policy& policy, SteadyTime now);

// What an operator should look at: of what list_plugins() has found, and of what does not run as it
// should.
[[nodiscard]] std::vector<model::Alarm> alarms_of(const std::vector<PluginStatus>& plugins);
[[nodiscard]] std::vector<model::Alarm> alarms_of(const std::vector<HungCall>& calls);
[[nodiscard]] std::vector<model::Alarm> alarms_of(const RosterState& roster);
// `subject`: the plugin, or one of its generations; empty: all of them. Empty `remedy`: what helps
// with most.
[[nodiscard]] model::Alarm plugin_alarm(std::string subject, std::string cause,
                                        std::string remedy = "");
// The alarm about a load that takes longer than its parts may together; nothing: it does not. Pure.
[[nodiscard]] std::optional<model::Alarm> late_load_alarm(const std::string& plugin,
                                                          std::uint64_t report,
                                                          std::chrono::nanoseconds running,
                                                          std::chrono::milliseconds probe_timeout);

}  // namespace export_worker::plugins
