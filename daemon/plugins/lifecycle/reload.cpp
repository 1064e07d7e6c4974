// PluginHost, one action at a time: which file an action means, and what comes of it.

#include <algorithm>

#include "base/assert.hpp"
#include "base/log.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "daemon/plugins/probing/golden.hpp"

namespace export_worker::plugins {
namespace {

std::string short_hash(const std::string& sha256) {
    return sha256.substr(0, 16);
}

}  // namespace

void PluginHost::run(ReloadReport& report) {
    EW_ASSERT_ROLE(kLoader);
    complete(report, perform(report));
}

void PluginHost::complete(ReloadReport& report, const Judged<std::string>& done) {
    if (!done) note_refusal(report, done.error());
    const std::string outcome = done ? *done : "refused";
    if (outcome != "unchanged") record(report, outcome, "");
    forget_old_artefacts();
    {
        // At one moment: who sees the outcome may ask for the next action.
        const std::lock_guard lock(mutex_);
        report.outcome = outcome;
        if (outcome != "baking") ++reload_counts_[outcome];
        if (report.refusal) ++reload_counts_["refused_" + report.refusal->code];
        if (running_ == &report) running_ = nullptr;
    }
    reports_changed_.notify_all();
}

// An operator ended the bake by hand: what waited for its end would replace what the operator
// chose.
void PluginHost::cancel_waiting(const ReloadReport& by) {
    std::vector<ReloadReport*> cancelled;
    {
        const std::lock_guard lock(mutex_);
        std::erase_if(queue_, [&](ReloadReport* job) {
            const Action action = job->request.action;
            const bool superseded = job->request.plugin == by.plugin &&
                                    (action == Action::kReload || action == Action::kStart);
            if (superseded) cancelled.push_back(job);
            return superseded;
        });
    }
    for (ReloadReport* job : cancelled) {
        complete(*job,
                 refuse({"superseded", "queued", "a bake that ends by itself",
                         "a later rollback or commit (report " + std::to_string(by.id) + ")",
                         "to take the configured file and settings: exportctl plugin reload " +
                             by.plugin}));
    }
}

Judged<std::string> PluginHost::perform(ReloadReport& report) {
    const ReloadRequest& request = report.request;
    const bool begins = request.action == Action::kReload && request.file.empty() &&
                        !plugins_.contains(request.plugin);
    if (request.action == Action::kStart || begins) return start_plugin(report);
    if (request.action == Action::kRollback) return roll_back(report);
    if (request.action == Action::kCommit) return commit_now(report);
    std::string file = request.file;
    if (file.empty()) {
        const auto setup = configured(request.plugin);
        if (!setup) {
            return refuse({"unknown_plugin", "staging",
                           "a [plugin." + request.plugin + "] section, or --file", "neither",
                           "name the file with --file"});
        }
        file = setup->file;
    }
    return reload_file(report, file);
}

// What history says comes first: an uncommitted generation is not used after a crash, and a
// committed one survives until the configured file changes.
Judged<std::string> PluginHost::start_plugin(ReloadReport& report) {
    const auto setup = configured(report.plugin);
    EW_ASSERT(setup.has_value());
    auto record = history_->record(report.plugin);
    if (!record) return refuse(refusal_of("history", record.error()));
    EW_CHECK(quarantine_what_died(report.plugin, *record));
    auto tried = start_configured(report, *setup, *record);
    if (tried) return tried;
    return fall_back(report, *setup, *record, tried.error());
}

Judged<std::string> PluginHost::fall_back(ReloadReport& report, const PluginSetup& setup,
                                          const PluginRecord& record, const Refusal& why) {
    const auto target = fallback_target(report, record, why);
    if (!target) return refuse(why);
    log_error("plugin {}: the configured file is not taken: {}", report.plugin, to_text(why));
    Candidate committed;
    committed.report = &report;
    committed.reason = EW_CREATE_START;
    committed.bake = false;
    committed.settings = setup.settings;
    committed.configured_sha256 = record.configured_sha256;
    auto artefact = artefacts_.find(*target);
    if (!artefact) return refuse(why);
    committed.artefact = std::move(*artefact);
    auto fallen_back = examine_and_publish(committed);
    if (!fallen_back) return refuse(why);
    const std::lock_guard lock(mutex_);
    plugins_[report.plugin].notice = "runs the committed " + short_hash(report.sha256) +
                                     " instead of the configured file: " + to_text(why);
    return fallen_back;
}

// The newest committed file that is not the one just refused, and not quarantined.
std::optional<std::string> PluginHost::fallback_target(const ReloadReport& report,
                                                       const PluginRecord& record,
                                                       const Refusal& why) {
    const auto usable = usable_committed(*history_, artefacts_, report.plugin, report.sha256);
    if (!usable || usable->empty()) return std::nullopt;
    // A configuration that the committed file refuses is for the operator to correct; older code
    // would hide that.
    if (!costs_the_daemon(why) && usable->front() != record.committed_sha256) return std::nullopt;
    return usable->front();
}

Judged<void> PluginHost::quarantine_what_died(const std::string& plugin,
                                              const PluginRecord& record) {
    if (record.baking_sha256.empty()) return {};
    if (!died_in_.empty() && !died_in_.contains(record.baking_sha256)) {
        log_warn(
            "plugin {}: {} was baking when the daemon died inside another plugin file; it is not "
            "quarantined",
            plugin, short_hash(record.baking_sha256));
        if (auto cleared = history_->clear_baking(plugin); !cleared)
            return refuse(refusal_of("history", cleared.error()));
        return {};
    }
    const std::string why = "the daemon died while it was baking";
    log_error("plugin {}: {} is quarantined: {}", plugin, short_hash(record.baking_sha256), why);
    if (auto kept = history_->quarantine(plugin, record.baking_sha256, why); !kept)
        return refuse(refusal_of("history", kept.error()));
    if (auto cleared = history_->clear_baking(plugin); !cleared)
        return refuse(refusal_of("history", cleared.error()));
    return {};
}

Judged<std::string> PluginHost::start_configured(ReloadReport& report, const PluginSetup& setup,
                                                 const PluginRecord& record) {
    Candidate candidate;
    candidate.report = &report;
    candidate.reason = EW_CREATE_START;
    candidate.settings = setup.settings;
    {
        const std::lock_guard lock(mutex_);
        report.file = setup.file;
    }
    EW_TRY(candidate.artefact, artefacts_.take_in(setup.file));
    candidate.configured_sha256 = candidate.artefact.sha256;
    const bool file_is_as_it_was = candidate.artefact.sha256 == record.configured_sha256;
    if (file_is_as_it_was && candidate.artefact.sha256 != record.committed_sha256 &&
        artefacts_.has(record.committed_sha256)) {
        EW_TRY(candidate.artefact, artefacts_.find(record.committed_sha256));
    }
    EW_TRY(candidate.golden, read_golden(setup.file, setup.file));
    // A file this daemon has not run before bakes as after a reload: if it takes the daemon down,
    // the next start knows.
    candidate.bake =
        !record.committed_sha256.empty() && record.committed_sha256 != candidate.artefact.sha256;
    candidate.committed_sha256 = record.committed_sha256;
    const std::string configured_sha256 = candidate.configured_sha256;
    const bool substituted = configured_sha256 != candidate.artefact.sha256;
    EW_TRY(const std::string outcome, examine_and_publish(candidate));
    const auto quarantined = history_->quarantined(configured_sha256);
    if (!substituted || !quarantined || !*quarantined) return outcome;
    const std::lock_guard lock(mutex_);
    plugins_[report.plugin].notice =
        "runs the committed " + short_hash(report.sha256) +
        " instead of the configured file, which is quarantined: " + (*quarantined)->reason;
    return outcome;
}

Judged<std::string> PluginHost::reload_file(ReloadReport& report, const std::string& file) {
    const auto since = now();
    const ReloadRequest& request = report.request;
    Candidate candidate;
    candidate.report = &report;
    EW_TRY(candidate.artefact, artefacts_.take_in(file));
    {
        const std::lock_guard lock(mutex_);
        report.file = file;
    }
    set_step(report, "staging", "sha256 " + candidate.artefact.sha256, since);
    const auto setup = configured(request.plugin);
    const std::string configured_file = setup ? setup->file : std::string();
    EW_TRY(candidate.golden, read_golden(file, configured_file));
    candidate.settings = setup ? setup->settings : request.settings;
    // Nothing could be taken back to: a plugin that is new has no generation before it.
    candidate.bake = request.bake && request.action != Action::kLoad;
    candidate.reason = request.action == Action::kLoad ? EW_CREATE_START : EW_CREATE_RELOAD;
    candidate.configured_sha256 = candidate.artefact.sha256;
    if (setup && configured_file != file) {
        // The start after this one must be able to tell whether the configured file has changed.
        const auto other = artefacts_.take_in(configured_file);
        candidate.configured_sha256 = other ? other->sha256 : std::string();
    }
    return examine_and_publish(candidate);
}

Judged<std::string> PluginHost::roll_back(ReloadReport& report) {
    Plugin& plugin = plugins_[report.plugin];
    const std::uint64_t leaves = report.request.baking_generation;
    // The bake has taken it back in the meantime.
    if (leaves != 0 && plugin.active->generation->number() != leaves) return "unchanged";
    if (plugin.bake && plugin.previous) return roll_back_to_warm(report, plugin);
    EW_TRY(const std::string target, committed_target(report, plugin));
    if (report.request.trigger != "bake") cancel_waiting(report);
    if (plugin.bake) end_start_bake(report.plugin, plugin, "an operator asked for it");
    Candidate candidate;
    candidate.report = &report;
    candidate.reason = EW_CREATE_ROLLBACK;
    candidate.check_contract = false;
    candidate.bake = false;
    EW_TRY(candidate.artefact, artefacts_.find(target));
    if (const auto setup = configured(report.plugin)) {
        candidate.settings = setup->settings;
        const auto file = artefacts_.take_in(setup->file);
        candidate.configured_sha256 = file ? file->sha256 : std::string();
    }
    return examine_and_publish(candidate);
}

Judged<std::string> PluginHost::roll_back_to_warm(ReloadReport& report, Plugin& plugin) {
    const Generation& warm = *plugin.previous->generation;
    if (!warm.sha256().starts_with(report.request.to_sha256)) {
        return refuse(
            {"busy", "staging", "no bake under way, or its previous generation as target",
             "generation " + std::to_string(plugin.active->generation->number()) + " bakes",
             "end the bake first: exportctl plugin rollback " + report.plugin});
    }
    {
        const std::lock_guard lock(mutex_);
        report.from_sha256 = plugin.active->generation->sha256();
        report.from_generation = plugin.active->generation->number();
        report.sha256 = warm.sha256();
        report.version = warm.manifest().version;
        report.build_id = warm.manifest().build_id;
        report.generation = warm.number();
    }
    cancel_waiting(report);
    take_back(report.plugin, plugin, "an operator asked for it", false);
    return "committed";
}

// The hash of the one committed file a rollback means.
Judged<std::string> PluginHost::committed_target(const ReloadReport& report,
                                                 const Plugin& plugin) const {
    const std::string& to = report.request.to_sha256;
    const auto committed = history_->committed(report.plugin);
    if (!committed) return refuse(refusal_of("history", committed.error()));
    std::vector<std::string> matches;
    for (const std::string& sha256 : *committed) {
        if (sha256.starts_with(to) && sha256 != plugin.active->generation->sha256() &&
            artefacts_.has(sha256))
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

Judged<std::string> PluginHost::commit_now(ReloadReport& report) {
    Plugin& plugin = plugins_[report.plugin];
    if (!plugin.bake) {
        return refuse(
            {"not_baking", "commit", "a generation that bakes", "none", "nothing is left to do"});
    }
    cancel_waiting(report);
    if (auto committed = commit(report.plugin, plugin); !committed)
        return refuse(refusal_of("history", committed.error()));
    const std::lock_guard lock(mutex_);
    report.sha256 = plugin.committed_sha256;
    report.generation = plugin.active->generation->number();
    return "committed";
}

void PluginHost::set_step(ReloadReport& report, const std::string& name, const std::string& detail,
                          SteadyTime since) {
    const auto took = std::chrono::duration_cast<std::chrono::microseconds>(now() - since);
    const std::lock_guard lock(mutex_);
    report.steps.push_back({name, detail, took.count()});
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
}

std::optional<PluginSetup> PluginHost::configured(const std::string& plugin) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(config_.plugins, plugin, &PluginSetup::name);
    if (found == config_.plugins.end()) return std::nullopt;
    return *found;
}

Judged<std::string> PluginHost::read_golden(const std::string& file,
                                            const std::string& configured_file) const {
    std::string named;
    {
        const std::lock_guard lock(mutex_);
        const auto setup = std::ranges::find(config_.plugins, configured_file, &PluginSetup::file);
        if (setup != config_.plugins.end()) named = setup->golden_file;
    }
    return read_golden_file(named, file, configured_file);
}

}  // namespace export_worker::plugins
