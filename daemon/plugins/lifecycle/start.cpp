#include "daemon/plugins/lifecycle/start.hpp"

#include <utility>

#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "daemon/plugins/lifecycle/last_end.hpp"

namespace export_worker::plugins {
namespace {

std::string short_hash(const std::string& sha256) {
    return sha256.substr(0, 16);
}

// What baked when the process before ended is quarantined, unless that ended elsewhere.
Result<void> judge_bake(const LifecycleDeps& deps, const std::string& plugin,
                        const PluginRecord& record) {
    deps.roster.change_plugin(plugin, [&](PluginEntry& entry) { entry.slot.kept = record; });
    const std::string& baked = record.baking_sha256;
    const bool elsewhere = !deps.died_in.empty() && !deps.died_in.contains(baked);
    if (!baked.empty() && elsewhere) {
        log_warn(
            "plugin {}: {} was baking when the daemon died inside another plugin file; it is not "
            "quarantined",
            plugin, short_hash(baked));
    }
    EW_CHECK(deps.transitions.change(plugin, Restarted{elsewhere}));
    if (baked.empty() || elsewhere || baked == record.committed_sha256) return {};
    deps.roster.change([&](RosterState& roster) {
        roster.crash_notices[plugin] =
            short_hash(baked) + " is quarantined: the daemon died while it was baking";
    });
    return {};
}

// The rest of the daemon is worth more than one plugin: its methods are answered as unavailable.
tl::unexpected<Refusal> leave_out(const LifecycleDeps& deps, const HostConfig& config,
                                  const std::string& plugin, const Refusal& refusal) {
    // A SIGHUP meanwhile may have taken its section away.
    if (find_setup(config, plugin) == nullptr) return refuse(refusal);
    const auto methods = deps.history.methods(plugin);
    const std::string known = methods ? *methods : "";
    const std::string why =
        "not loaded; unavailable methods: " + (known.empty() ? "all of this plugin" : known) +
        "; " + to_text(refusal);
    log_error("plugin {}: {}", plugin, why);
    deps.roster.change([&](RosterState& roster) { roster.left_out[plugin] = {why, known}; });
    return refuse(refusal);
}

}  // namespace

Next begin_start(const LifecycleDeps& deps, const HostConfig& config, const ReloadReport& report) {
    const auto record = deps.history.record(report.plugin);
    if (!record)
        return leave_out(deps, config, report.plugin, refusal_of("history", record.error()));
    if (auto judged = judge_bake(deps, report.plugin, *record); !judged)
        return leave_out(deps, config, report.plugin, refusal_of("history", judged.error()));
    fault_point("plugin.start_begun");
    auto usable = usable_committed(deps.history, deps.artifacts, report.plugin, "");
    if (!usable)
        return leave_out(deps, config, report.plugin, refusal_of("history", usable.error()));
    Load load;
    load.report = report.id;
    load.request = report.request;
    load.start.emplace();
    load.start->committed = std::move(*usable);
    return try_next_of_start(deps, config, std::move(load));
}

Next try_next_of_start(const LifecycleDeps& deps, const HostConfig& config, Load load) {
    deps.reports.update(load.report,
                        [&](ReloadReport& report) { set_serving(report, deps.roster.state()); });
    StartPlan& plan = *load.start;
    LoadOrder order = order_for(load.request, config, deps.roster.state());
    order.reason = EW_CREATE_START;
    order.checks_contract = false;  // Nobody has called the one before yet.
    order.refused_sha256 = plan.refused_sha256;
    order.refused_because = plan.refused_because;
    if (!plan.committed.empty()) {
        order.kept_sha256 = plan.committed.front();
        plan.committed.erase(plan.committed.begin());
    } else {
        order.file = order.configured_file;
        fault_point("plugin.configured_tried");
        plan.takes_configured = true;
        load.bake = true;
    }
    load.order = std::move(order);
    return load;
}

Next continue_refused_start(const LifecycleDeps& deps, const HostConfig& config, Load load,
                            const LoadFailure& failure) {
    StartPlan& plan = *load.start;
    const std::string plugin = load.request.plugin;
    const RosterState& roster = deps.roster.state();
    if (plan.takes_configured && !roster.serves(plugin))
        return leave_out(deps, config, plugin, failure.refusal);
    log_error("plugin {}: {} is not taken: {}", plugin,
              plan.takes_configured ? "the configured file" : "a committed file",
              to_text(failure.refusal));
    if (!plan.takes_configured) {
        plan.refused_sha256 = failure.sha256;
        plan.refused_because = failure.refusal;
        // A configuration that the committed file refuses is for the operator to correct; older
        // code would hide that.
        if (!costs_the_daemon(failure.refusal)) plan.committed.clear();
        return try_next_of_start(deps, config, std::move(load));
    }
    const Generation& active = roster.active(plugin);
    deps.reports.update(load.report, [&](ReloadReport& report) { set_generation(report, active); });
    deps.roster.change_plugin(plugin, [&](PluginEntry& entry) {
        entry.notice = "runs the committed " + short_hash(active.sha256()) +
                       " instead of the configured file: " + to_text(failure.refusal);
    });
    return "committed";
}

}  // namespace export_worker::plugins
