// What runs: the generations of every plugin, which one answers what, and what does not run.
//
// A crash leaves nothing of it; what was decided is in plugins.db (history.hpp).
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/slot.hpp"
#include "daemon/plugins/lifecycle/stages.hpp"
#include "daemon/plugins/routing/routing.hpp"

namespace export_worker::plugins {

enum class RetiredState { kDraining, kEnding, kStuck, kParked, kLingering };

struct RetiredGeneration {
    Loaded loaded;
    RetiredState state = RetiredState::kDraining;
    SteadyTime since;
};

struct RunningBake {
    SteadyTime end;
    TrafficStats baseline;     // The old generation's, at the swap.
    std::uint64_t report = 0;  // Its number.
};

struct PluginEntry {
    SlotState slot;
    std::optional<Loaded> active;
    std::optional<Loaded> previous;  // Warm, while `active` bakes.
    std::optional<RunningBake> bake;
    std::vector<RetiredGeneration> retired;
    std::string notice;  // Why it does not run what is configured; for alarms.
    // What could not be written after it had taken effect; tried again at `write_again`.
    std::vector<SlotEffect> unwritten;
    std::string unwritten_because;
    SteadyTime write_again;
    // Of generations that are no longer listed.
    std::uint64_t past_handled = 0;
    std::uint64_t past_faults = 0;
    std::map<std::string, CounterValue> past_counters;
    std::uint64_t unmapped = 0;
    std::size_t abandoned = 0;  // Images of loads that failed after the probe.
};

struct LeftOut {
    std::string why;      // For alarms.
    std::string methods;  // "a.b, a.c"; empty: not known.
};

struct RosterState {
    std::map<std::string, PluginEntry> plugins;
    std::map<std::string, LeftOut> left_out;           // Configured plugins that do not run.
    std::map<std::string, std::string> crash_notices;  // By plugin, until it is replaced.
    std::uint64_t last_generation = 0;

    [[nodiscard]] bool serves(const std::string& plugin) const;
    [[nodiscard]] bool bakes(const std::string& plugin) const;
    // The generation that answers. `plugin` serves.
    [[nodiscard]] const Generation& active(const std::string& plugin) const;
};

// The generation with this number if it has been replaced and is still there; nullptr: it is not.
[[nodiscard]] const Generation* find_replaced(const RosterState& roster, const std::string& plugin,
                                              std::uint64_t generation);

class Roster {
public:
    // `clock` outlives it.
    Roster(const Clock& clock, std::map<std::string, std::string> crash_notices);

    // Calls `use` with what there is now, under the lock: no I/O and no plugin code in it.
    // [any-thread]
    template <typename Use>
    auto read(Use use) const {
        const std::lock_guard lock(mutex_);
        return use(state_);
    }
    // The same without the lock, for the one thread that changes it. [supervisor-thread]
    [[nodiscard]] const RosterState& state() const {
        EW_ASSERT_ROLE(kSupervisor);
        return state_;
    }
    // As read(), for changes. [supervisor-thread]
    template <typename Use>
    auto change(Use use) {
        EW_ASSERT_ROLE(kSupervisor);
        const std::lock_guard lock(mutex_);
        return use(state_);
    }
    // The same for one plugin, which is added if it is new. [supervisor-thread]
    template <typename Use>
    auto change_plugin(const std::string& plugin, Use use) {
        return change([&](RosterState& state) { return use(state.plugins[plugin]); });
    }

    // Each publishes the routes that follow, and retires what no longer answers.
    // [supervisor-thread]
    void serve(const std::string& plugin, Loaded loaded, bool keep_warm);
    void serve_warm(const std::string& plugin);
    void retire_warm(const std::string& plugin);
    void retire(const std::string& plugin, Loaded loaded);

    // Some plugin bakes. [any-thread]
    [[nodiscard]] bool any_bakes() const { return any_bakes_.load(std::memory_order_relaxed); }
    [[nodiscard]] RoutingTable& routing() { return routing_; }
    [[nodiscard]] const RoutingTable& routing() const { return routing_; }

    // After the supervisor has ended: everything. [one-owner]
    [[nodiscard]] std::map<std::string, PluginEntry> take_plugins();

private:
    void publish_routes();

    const Clock& clock_;
    RoutingTable routing_;
    std::atomic<bool> any_bakes_{false};
    mutable std::mutex mutex_;
    RosterState state_;  // Changed by the supervisor alone, under mutex_.
};

}  // namespace export_worker::plugins
