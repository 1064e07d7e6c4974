#include "daemon/plugins/lifecycle/reload.hpp"

#include <utility>

#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "daemon/plugins/lifecycle/start.hpp"

namespace export_worker::plugins {
namespace {

bool is_from_history(const Load& load) {
    return load.start && !load.start->takes_configured;
}

// What decides whether the file stays, once its bake is over.
FileLoaded event_of(const Load& load, const LoadResult& result, const PluginRecord& kept,
                    const Policy& policy) {
    const bool from_history = is_from_history(load);
    FileLoaded out{result.sha256, from_history ? kept.configured_sha256 : result.configured_sha256,
                   from_history ? kept.pinned : load.act, load.bake && policy.bake.count() > 0};
    // The pinned file itself, with new settings: what was decided still stands.
    const bool keeps_pin = load.request.file.empty() && result.sha256 == kept.committed_sha256 &&
                           load.request.origin() != Origin::kOperator;
    if (keeps_pin) out.act = kept.pinned;
    return out;
}

void open_window(const LifecycleDeps& deps, const Load& load, const LoadResult& result,
                 SteadyTime since) {
    const bool replaces = deps.roster.state().serves(result.plugin);
    deps.reports.update(load.report, [&](ReloadReport& report) {
        report.generation = result.loaded->generation->number();
        if (!replaces || deps.ledger == nullptr) return;
        report.window.emplace();
        report.window->before = deps.ledger->read();
        report.window->opened = since;
    });
}

Verdict<std::string> publish(const LifecycleDeps& deps, const Policy& policy, const Load& load,
                             LoadResult& result) {
    const std::string& name = result.plugin;
    const Manifest manifest = result.loaded->generation->manifest();
    const std::uint64_t number = result.loaded->generation->number();
    const SteadyTime since = deps.clock.steady();
    open_window(deps, load, result, since);
    const PluginRecord kept = deps.roster.change([&](RosterState& roster) {
        roster.last_generation = number;
        return roster.plugins[name].slot.kept;
    });
    if (auto changed = deps.transitions.change(name, event_of(load, result, kept, policy),
                                               std::exchange(result.loaded, std::nullopt));
        !changed)
        return refuse(refusal_of("history", changed.error()));
    const bool bakes = deps.roster.change([&](RosterState& roster) {
        PluginEntry& entry = roster.plugins[name];
        if (load.request.origin() != Origin::kStart) roster.crash_notices.erase(name);
        entry.notice.clear();
        if (entry.bake) {
            entry.bake->end = since + policy.bake;
            entry.bake->report = load.report;
        }
        return entry.bake.has_value();
    });
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(deps.clock.steady() - since);
    deps.reports.update(load.report, [&](ReloadReport& report) {
        report.steps.push_back({"publishing", bakes ? "baking" : "serving", took.count()});
    });
    log_info("plugin {} {} generation {}: serving, build-id {}{}", name, manifest.version, number,
             manifest.build_id, bakes ? ", baking" : "");
    return bakes ? "baking" : "committed";
}

// Nothing is loaded; but what an operator names stands from now on, and a configured file that is
// what serves needs no pin any more.
Next end_unchanged(const LifecycleDeps& deps, const Load& load, const LoadResult& result) {
    const ReloadRequest& request = load.request;
    const PluginRecord& kept = deps.roster.state().plugins.at(result.plugin).slot.kept;
    const bool by_itself = request.origin() != Origin::kOperator;
    const bool is_configured = result.sha256 == result.configured_sha256;
    const bool stands = by_itself && result.configured_sha256 == kept.configured_sha256;
    if (!request.dry_run && !result.configured_sha256.empty()) {
        const Confirmed event{result.configured_sha256, stands ? kept.pinned : load.act};
        if (auto confirmed = deps.transitions.change(result.plugin, event); !confirmed)
            return refuse(refusal_of("history", confirmed.error()));
    }
    if (!request.dry_run && is_configured) {
        deps.roster.change([&](RosterState& roster) {
            roster.plugins[result.plugin].notice.clear();
            if (!by_itself) roster.crash_notices.erase(result.plugin);
        });
    }
    // A start has loaded the committed file before.
    return load.start ? "committed" : "unchanged";
}

}  // namespace

Next begin_reload(const LifecycleDeps& deps, const HostConfig& config, const ReloadReport& report) {
    const ReloadRequest& request = report.request;
    Load load;
    load.report = report.id;
    load.request = request;
    load.order = order_for(request, config, deps.roster.state());
    LoadOrder& order = load.order;
    order.file = request.file.empty() ? order.configured_file : request.file;
    order.sent_path = request.sent_path;
    order.sent_golden = request.sent_golden;
    if (order.file.empty()) {
        return refuse({"unknown_plugin", "staging",
                       "a [plugin." + request.plugin + "] section, or --file", "neither",
                       "name the file with --file"});
    }
    order.is_new = request.action == Action::kLoad;
    if (order.is_new) order.reason = EW_CREATE_START;
    load.bake = request.bake && !order.is_new;
    if (!request.file.empty() && !order.configured_file.empty()) load.act = "reload --file";
    return load;
}

Next on_loaded(const LifecycleDeps& deps, const HostConfig& config, Load load, LoadResult result) {
    if (!result.loaded && result.unchanged) return end_unchanged(deps, load, result);
    if (!result.loaded) return "would_publish";
    EW_TRY(const std::string outcome, publish(deps, config.policy, load, result));
    // A SIGHUP meanwhile may have taken its section away: then what was committed serves.
    const bool goes_on =
        is_from_history(load) && find_setup(config, load.request.plugin) != nullptr;
    if (!goes_on) return outcome;
    load.start->committed.clear();
    deps.reports.update(load.report, [](ReloadReport& report) { report.committed_serves = true; });
    fault_point("plugin.committed_serves");
    return try_next_of_start(deps, config, std::move(load));
}

Next on_load_refused(const LifecycleDeps& deps, const HostConfig& config, Load load,
                     const LoadFailure& failure) {
    const auto with_entry = [&](const std::string& plugin, auto change) {
        if (deps.roster.state().plugins.contains(plugin)) deps.roster.change_plugin(plugin, change);
    };
    if (failure.may_be_mapped)
        with_entry(failure.plugin, [](PluginEntry& entry) { ++entry.abandoned; });
    if (load.start) return continue_refused_start(deps, config, std::move(load), failure);
    if (load.request.origin() == Origin::kAutomatic) {
        with_entry(load.request.plugin, [&](PluginEntry& entry) {
            entry.notice = "the configured file was refused (" + load.request.trigger +
                           "): " + to_text(failure.refusal);
        });
    }
    return refuse(failure.refusal);
}

}  // namespace export_worker::plugins
