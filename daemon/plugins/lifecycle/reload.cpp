// PluginHost, one request at a time: which file it means, and what comes of it.

#include <algorithm>

#include "base/assert.hpp"
#include "base/fault_point.hpp"
#include "base/log.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::plugins {
namespace {

std::string short_hash(const std::string& sha256) {
    return sha256.substr(0, 16);
}

}  // namespace

void PluginHost::begin_work() {
    for (;;) {
        ReloadReport* report = nullptr;
        {
            const std::lock_guard lock(mutex_);
            report = queue_.take([this](const ReloadRequest& each) { return may_begin(each); });
            if (report == nullptr) return;
            const bool loads =
                report->request.loads() ||
                (report->request.action == Action::kRollback && !bakes(report->request.plugin));
            if (loads) {
                loading_.emplace();
                loading_->report = report;
                loading_->since = now();
            }
        }
        begin(*report);
    }
}

void PluginHost::begin(ReloadReport& report) {
    record_serving(report);
    const ReloadRequest& request = report.request;
    const bool starts =
        request.action == Action::kReload && request.file.empty() && !serves(request.plugin);
    if (request.action == Action::kStart || starts) return begin_start(report);
    const Judged<void> begun = [&]() -> Judged<void> {
        switch (request.action) {
            case Action::kRollback: return roll_back(report);
            case Action::kCommit: return commit_now(report);
            case Action::kUnpin: return unpin(report);
            default: return begin_reload(report);
        }
    }();
    if (begun) return;
    if (loading_ && loading_->report == &report) return end_load(refuse(begun.error()));
    complete(report, refuse(begun.error()));
}

void PluginHost::record_serving(ReloadReport& report) {
    const std::lock_guard lock(mutex_);
    const auto plugin = plugins_.find(report.plugin);
    if (plugin == plugins_.end() || !plugin->second.active) return;
    const Generation& active = *plugin->second.active->generation;
    report.from_generation = active.number();
    report.from_sha256 = active.sha256();
    report.from_version = active.manifest().version;
}

// What history says comes first: what was decided on serves, then the configured file is tried.
void PluginHost::begin_start(ReloadReport& report) {
    const auto record = history_->record(report.plugin);
    if (!record) return end_load(refuse(refusal_of("history", record.error())));
    {
        const std::lock_guard lock(mutex_);
        plugins_[report.plugin].slot.kept = *record;
    }
    const std::string& baked = record->baking_sha256;
    const bool elsewhere = !died_in_.empty() && !died_in_.contains(baked);
    if (!baked.empty() && elsewhere) {
        log_warn(
            "plugin {}: {} was baking when the daemon died inside another plugin file; it is not "
            "quarantined",
            report.plugin, short_hash(baked));
    }
    if (auto begun = change(report.plugin, Restarted{elsewhere}); !begun)
        return end_load(refuse(refusal_of("history", begun.error())));
    if (!baked.empty() && !elsewhere && baked != record->committed_sha256) {
        const std::lock_guard lock(mutex_);
        crash_notices_[report.plugin] =
            short_hash(baked) + " is quarantined: the daemon died while it was baking";
    }
    fault_point("plugin.start_begun");
    auto usable = usable_committed(*history_, artefacts_, report.plugin, "");
    if (!usable) return end_load(refuse(refusal_of("history", usable.error())));
    {
        const std::lock_guard lock(mutex_);
        loading_->start.emplace();
        loading_->start->committed = std::move(*usable);
    }
    try_next_of_start();
}

void PluginHost::try_next_of_start() {
    ReloadReport& report = *loading_->report;
    record_serving(report);
    StartPlan& plan = *loading_->start;
    LoadOrder order = order_for(report);
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
        const std::lock_guard lock(mutex_);
        plan.takes_configured = true;
        loading_->bake = true;
    }
    post_load(std::move(order));
}

Judged<void> PluginHost::begin_reload(ReloadReport& report) {
    const ReloadRequest& request = report.request;
    LoadOrder order = order_for(report);
    order.file = request.file.empty() ? order.configured_file : request.file;
    if (order.file.empty()) {
        return refuse({"unknown_plugin", "staging",
                       "a [plugin." + request.plugin + "] section, or --file", "neither",
                       "name the file with --file"});
    }
    order.is_new = request.action == Action::kLoad;
    if (order.is_new) order.reason = EW_CREATE_START;
    {
        const std::lock_guard lock(mutex_);
        loading_->bake = request.bake && !order.is_new;
        if (!request.file.empty() && !order.configured_file.empty())
            loading_->act = "reload --file";
    }
    post_load(std::move(order));
    return {};
}

Judged<void> PluginHost::roll_back(ReloadReport& report) {
    Plugin& plugin = plugins_[report.plugin];
    const std::uint64_t leaves = report.request.baking_generation;
    // The bake has taken it back in the meantime.
    if (leaves != 0 && plugin.active->generation->number() != leaves) {
        const Judged<std::string> done("unchanged");
        if (loading_ && loading_->report == &report)
            end_load(done);
        else
            complete(report, done);
        return {};
    }
    if (plugin.bake) return roll_back_to_warm(report, plugin);
    EW_TRY(const std::string target, committed_target(report, plugin));
    fault_point("plugin.rollback_begun");
    cancel_waiting(report);
    LoadOrder order = order_for(report);
    order.kept_sha256 = target;
    order.reason = EW_CREATE_ROLLBACK;
    order.checks_contract = false;
    {
        const std::lock_guard lock(mutex_);
        loading_->act = "rollback";
    }
    post_load(std::move(order));
    return {};
}

Judged<void> PluginHost::roll_back_to_warm(ReloadReport& report, Plugin& plugin) {
    const Generation& warm = *plugin.previous->generation;
    if (!warm.sha256().starts_with(report.request.to_sha256)) {
        return refuse(
            {"busy", "staging", "no bake under way, or its previous generation as target",
             "generation " + std::to_string(plugin.active->generation->number()) + " bakes",
             "end the bake first: exportctl plugin rollback " + report.plugin});
    }
    {
        const std::lock_guard lock(mutex_);
        report.sha256 = warm.sha256();
        report.version = warm.manifest().version;
        report.build_id = warm.manifest().build_id;
        report.generation = warm.number();
    }
    cancel_waiting(report);
    const std::string why = "an operator asked for it";
    const std::uint64_t baked = plugin.bake->report;
    log_error("plugin {} generation {}: taken back: {}; generation {} answers again", report.plugin,
              report.from_generation, why, report.generation);
    if (auto changed = change(report.plugin, TakenBack{}); !changed)
        return refuse(refusal_of("history", changed.error()));
    end_report(baked, "rolled_back", why);
    if (!plugin.unwritten.empty()) {
        return refuse({"io", "history", "to write down that it was taken back",
                       plugin.unwritten_because,
                       "generation " + std::to_string(report.generation) +
                           " answers again; writing is tried again by itself, and an alarm in "
                           "exportctl status goes away once it is done"});
    }
    complete(report, "committed");
    return {};
}

// The hash of the one committed file a rollback means.
Judged<std::string> PluginHost::committed_target(const ReloadReport& report,
                                                 const Plugin& plugin) const {
    const std::string& to = report.request.to_sha256;
    const auto committed = history_->committed(report.plugin);
    if (!committed) return refuse(refusal_of("history", committed.error()));
    std::vector<std::string> matches;
    for (const std::string& sha256 : *committed) {
        const bool serves = sha256 == plugin.active->generation->sha256();
        if (sha256.starts_with(to) && (!serves || !to.empty()) && artefacts_.has(sha256))
            matches.push_back(sha256);
    }
    if (to.empty() && matches.size() > 1) matches.resize(1);  // The newest.
    if (matches.size() == 1) return matches.front();
    return refuse({"unknown_hash", "staging",
                   to.empty() ? "an earlier committed file" : "one committed file " + to + "...",
                   std::to_string(matches.size()) + " of them",
                   "exportctl plugin history " + report.plugin +
                       " lists hashes; kept are the last " +
                       std::to_string(limits::kPluginArtefactsKept)});
}

Judged<void> PluginHost::commit_now(ReloadReport& report) {
    Plugin& plugin = plugins_[report.plugin];
    const Generation& generation = *plugin.active->generation;
    {
        const std::lock_guard lock(mutex_);
        report.sha256 = generation.sha256();
        report.version = generation.manifest().version;
        report.build_id = generation.manifest().build_id;
        report.generation = generation.number();
    }
    if (!plugin.bake) {
        return refuse(
            {"not_baking", "commit", "a generation that bakes", "none", "nothing is left to do"});
    }
    cancel_waiting(report);
    const std::uint64_t baked = plugin.bake->report;
    if (auto committed = change(report.plugin, BakeEnded{}); !committed)
        return refuse(refusal_of("history", committed.error()));
    log_info("plugin {} {} generation {}: committed", report.plugin, report.version,
             report.generation);
    {
        const std::lock_guard lock(mutex_);
        plugin.notice.clear();
    }
    end_report(baked, "committed", "");
    complete(report, "committed");
    return {};
}

Judged<void> PluginHost::unpin(ReloadReport& report) {
    const SlotState& slot = plugins_[report.plugin].slot;
    {
        const std::lock_guard lock(mutex_);
        report.sha256 = slot.serving;
        report.version = report.from_version;
    }
    const bool pinned = !slot.kept.pinned.empty();
    if (auto changed = change(report.plugin, Unpinned{}); !changed)
        return refuse(refusal_of("history", changed.error()));
    complete(report, pinned ? "unpinned" : "unchanged");
    return {};
}

// What the loader needs to know; the caller adds which file.
LoadOrder PluginHost::order_for(const ReloadReport& report) const {
    LoadOrder out;
    const ReloadRequest& request = report.request;
    out.plugin = request.plugin;
    out.origin = request.origin();
    out.dry_run = request.dry_run;
    out.lift_quarantine = request.lift_quarantine;
    out.allowed_contract_changes = request.allowed_contract_changes;
    out.settings = request.settings;
    out.methods = methods();
    const std::lock_guard lock(mutex_);
    out.policy = config_.policy;
    out.credentials = config_.credentials;
    out.number = last_generation_ + 1;
    const auto setup = std::ranges::find(config_.plugins, request.plugin, &PluginSetup::name);
    if (setup != config_.plugins.end()) {
        out.settings = setup->settings;
        out.configured_file = setup->file;
        out.golden_file = setup->golden_file;
    }
    const auto found = plugins_.find(request.plugin);
    if (found == plugins_.end()) return out;
    const Plugin& plugin = found->second;
    out.kept = plugin.slot.kept;
    out.images = plugin.abandoned + plugin.retired.size();
    for (const Retired& retired : plugin.retired) out.image_bytes += retired.loaded.file_bytes;
    for (const auto* loaded : {&plugin.active, &plugin.previous}) {
        if (!*loaded) continue;
        ++out.images;
        out.image_bytes += (*loaded)->file_bytes;
    }
    if (!plugin.active) return out;
    const Generation& active = *plugin.active->generation;
    out.serving = Serving{active.number(), active.sha256(), plugin.active->settings,
                          plugin.active->credentials, active.methods()};
    return out;
}

void PluginHost::post_load(LoadOrder order) {
    if (loading_->bake) order.shadow_requests = order.policy.bake_shadow;
    order.on_fault = [this] {
        if (baking_.load(std::memory_order_relaxed)) wake();
    };
    loader_.post([this, order = std::move(order), report = loading_->report] {
        const Progress progress = [this, report](const std::function<void(ReloadReport&)>& change) {
            const std::lock_guard lock(mutex_);
            change(*report);
        };
        auto result = run_stages(
            order,
            {artefacts_, *history_, calls_, options_.parts, options_.probe_program, stopping_},
            progress);
        {
            const std::lock_guard lock(mutex_);
            loads_done_.push_back({std::move(result)});
        }
        wake();
    });
}

void PluginHost::take_load_results() {
    std::vector<LoadDone> done;
    {
        const std::lock_guard lock(mutex_);
        done.swap(loads_done_);
    }
    for (LoadDone& each : done) {
        if (each.result)
            on_loaded(std::move(*each.result));
        else
            on_load_failed(each.result.error());
    }
}

void PluginHost::on_loaded(LoadResult result) {
    const ReloadReport& report = *loading_->report;
    if (!result.loaded) {
        if (result.unchanged) return end_unchanged(result);
        return end_load("would_publish");
    }
    const auto published = publish(result);
    // A SIGHUP meanwhile may have taken its section away: then what was committed serves.
    const bool start_goes_on = published && loading_->start && !loading_->start->takes_configured &&
                               configured(report.plugin).has_value();
    if (!start_goes_on) return end_load(published);
    loading_->start->committed.clear();
    fault_point("plugin.committed_serves");
    try_next_of_start();
}

// Nothing is loaded; but what an operator names stands from now on, and a configured file that is
// what serves needs no pin any more.
void PluginHost::end_unchanged(const LoadResult& result) {
    const ReloadRequest& request = loading_->report->request;
    const PluginRecord& kept = plugins_[result.plugin].slot.kept;
    const bool by_itself = request.origin() != Origin::kOperator;
    const bool is_configured = result.sha256 == result.configured_sha256;
    const bool stands = by_itself && result.configured_sha256 == kept.configured_sha256;
    if (!request.dry_run && !result.configured_sha256.empty()) {
        const Confirmed event{result.configured_sha256, stands ? kept.pinned : loading_->act};
        if (auto confirmed = change(result.plugin, event); !confirmed)
            return end_load(refuse(refusal_of("history", confirmed.error())));
    }
    if (!request.dry_run && is_configured) {
        const std::lock_guard lock(mutex_);
        plugins_[result.plugin].notice.clear();
        if (!by_itself) crash_notices_.erase(result.plugin);
    }
    // A start has loaded the committed file before.
    end_load(loading_->start ? "committed" : "unchanged");
}

Judged<std::string> PluginHost::publish(LoadResult& result) {
    ReloadReport& report = *loading_->report;
    const std::string name = result.plugin;
    const SteadyTime since = now();
    {
        const std::lock_guard lock(mutex_);
        Plugin& plugin = plugins_[name];
        last_generation_ = result.loaded->generation->number();
        report.generation = last_generation_;
        if (plugin.active && options_.ledger != nullptr) {
            report.window.emplace();
            report.window->before = options_.ledger->read();
            report.window->opened = since;
        }
    }
    const PluginRecord kept = plugins_[name].slot.kept;
    const bool from_history = loading_->start && !loading_->start->takes_configured;
    FileLoaded event{
        result.sha256, from_history ? kept.configured_sha256 : result.configured_sha256,
        from_history ? kept.pinned : loading_->act, loading_->bake && policy().bake.count() > 0};
    // The pinned file itself, with new settings: what was decided still stands.
    const bool keeps_pin = report.request.file.empty() && result.sha256 == kept.committed_sha256 &&
                           report.request.origin() != Origin::kOperator;
    if (keeps_pin) event.act = kept.pinned;
    if (auto changed = change(name, event, std::move(result.loaded)); !changed)
        return refuse(refusal_of("history", changed.error()));
    const std::lock_guard lock(mutex_);
    Plugin& plugin = plugins_[name];
    if (report.request.origin() != Origin::kStart) crash_notices_.erase(name);
    plugin.notice.clear();
    if (plugin.bake) {
        plugin.bake->end = since + config_.policy.bake;
        plugin.bake->report = report.id;
    }
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now() - since);
    report.steps.push_back({"publishing", plugin.bake ? "baking" : "serving", took.count()});
    log_info("plugin {} {} generation {}: serving, build-id {}{}", name, report.version,
             report.generation, report.build_id, plugin.bake ? ", baking" : "");
    return plugin.bake ? "baking" : "committed";
}

void PluginHost::on_load_failed(const LoadFailure& failure) {
    {
        const std::lock_guard lock(mutex_);
        const auto plugin = plugins_.find(failure.plugin);
        if (failure.may_be_mapped && plugin != plugins_.end()) ++plugin->second.abandoned;
    }
    if (loading_->start) return on_start_refused(failure);
    const ReloadReport& report = *loading_->report;
    if (report.request.origin() == Origin::kAutomatic) {
        const std::lock_guard lock(mutex_);
        const auto plugin = plugins_.find(report.plugin);
        if (plugin != plugins_.end()) {
            plugin->second.notice = "the configured file was refused (" + report.request.trigger +
                                    "): " + to_text(failure.refusal);
        }
    }
    end_load(refuse(failure.refusal));
}

void PluginHost::on_start_refused(const LoadFailure& failure) {
    StartPlan& plan = *loading_->start;
    ReloadReport& report = *loading_->report;
    if (plan.takes_configured && !serves(report.plugin)) return end_load(refuse(failure.refusal));
    log_error("plugin {}: {} is not taken: {}", report.plugin,
              plan.takes_configured ? "the configured file" : "a committed file",
              to_text(failure.refusal));
    if (!plan.takes_configured) {
        plan.refused_sha256 = failure.sha256;
        plan.refused_because = failure.refusal;
        // A configuration that the committed file refuses is for the operator to correct; older
        // code would hide that.
        if (!costs_the_daemon(failure.refusal)) plan.committed.clear();
        return try_next_of_start();
    }
    const Plugin& plugin = plugins_[report.plugin];
    {
        const std::lock_guard lock(mutex_);
        const Generation& active = *plugin.active->generation;
        report.sha256 = active.sha256();
        report.version = active.manifest().version;
        report.build_id = active.manifest().build_id;
        report.generation = active.number();
        plugins_[report.plugin].notice =
            "runs the committed " + short_hash(report.sha256) +
            " instead of the configured file: " + to_text(failure.refusal);
    }
    end_load("committed");
}

void PluginHost::end_load(const Judged<std::string>& done) {
    ReloadReport* report = nullptr;
    {
        const std::lock_guard lock(mutex_);
        report = loading_->report;
        loading_.reset();
    }
    forget_old_artefacts();
    complete(*report, done);
}

void PluginHost::complete(ReloadReport& report, const Judged<std::string>& done) {
    EW_ASSERT_ROLE(kSupervisor);
    if (!done) note_refusal(report, done.error());
    const std::string outcome = done ? *done : "refused";
    if (outcome != "unchanged")
        record(report, outcome, "");
    else
        log_info("plugin {}: nothing to do (report {}, asked for by {})", report.plugin, report.id,
                 report.request.trigger);
    {
        // At one moment: who sees the outcome may ask for the next action.
        const std::lock_guard lock(mutex_);
        report.outcome = outcome;
        if (outcome != "baking") ++reload_counts_[outcome];
        if (report.refusal) ++reload_counts_["refused_" + report.refusal->code];
    }
    reports_changed_.notify_all();
}

// An operator decided by hand: what waited would replace what was decided.
void PluginHost::cancel_waiting(const ReloadReport& by) {
    std::vector<ReloadReport*> cancelled;
    {
        const std::lock_guard lock(mutex_);
        cancelled = queue_.drop_automatic(by.plugin);
    }
    for (ReloadReport* job : cancelled) {
        record_serving(*job);
        complete(*job,
                 refuse({"superseded", "queued", "nothing decided meanwhile",
                         "a later rollback or commit (report " + std::to_string(by.id) + ")",
                         "to take the configured file and settings: exportctl plugin reload " +
                             by.plugin}));
    }
}

void PluginHost::note_refusal(ReloadReport& report, const Refusal& refusal) {
    log_warn("plugin {}: {}", report.plugin.empty() ? report.file : report.plugin,
             to_text(refusal));
    const std::lock_guard lock(mutex_);
    report.refusal = refusal;
}

void PluginHost::record(const ReloadReport& report, const std::string& outcome,
                        const std::string& detail) {
    HistoryEntry entry;
    entry.plugin = report.plugin;
    entry.trigger = report.request.trigger;
    entry.file = report.file;
    entry.sha256 = report.sha256;
    entry.version = report.version;
    entry.generation = static_cast<std::int64_t>(report.generation);
    entry.outcome = outcome;
    entry.code = report.refusal ? report.refusal->code : "";
    entry.detail = report.refusal ? to_text(*report.refusal) : detail;
    if (auto added = history_->add(std::move(entry)); !added)
        log_error("plugin {}: history: {}", report.plugin, added.error().message);
    fault_point("plugin.history_written");
}

// A bake is over.
void PluginHost::end_report(std::uint64_t id, const std::string& outcome,
                            const std::string& detail) {
    ReloadReport* report = nullptr;
    {
        const std::lock_guard lock(mutex_);
        const auto found = std::ranges::find(reports_, id, &ReloadReport::id);
        if (found == reports_.end()) return;
        report = found->get();
        if (outcome == "rolled_back") report->rolled_back_because = detail;
    }
    record(*report, outcome, detail);
    {
        const std::lock_guard lock(mutex_);
        report->outcome = outcome;
        ++reload_counts_[outcome];
    }
    reports_changed_.notify_all();
}

std::optional<PluginSetup> PluginHost::configured(const std::string& plugin) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(config_.plugins, plugin, &PluginSetup::name);
    if (found == config_.plugins.end()) return std::nullopt;
    return *found;
}

}  // namespace export_worker::plugins
