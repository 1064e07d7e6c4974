// PluginHost, one action at a time: the stages a candidate goes through, in order.
#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>

#include "base/assert.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/thread_role.hpp"
#include "daemon/plugin_host/plugin_host.hpp"

namespace export_worker::plugin_host {
namespace {

using std::chrono::steady_clock;

std::string short_hash(const std::string& sha256) {
    return sha256.substr(0, 16);
}

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

Refusal from_error(const std::string& stage, const Error& error) {
    return refusal_of(stage, error);
}

}  // namespace

void PluginHost::run(ReloadReport& report) {
    EW_ASSERT_ROLE(kLoader);
    const auto done = perform(report);
    if (!done) note_refusal(report, done.error());
    {
        const std::lock_guard lock(mutex_);
        EW_ASSERT(report.outcome != "running");
        if (report.outcome != "baking") ++reload_counts_[report.outcome];
        if (report.refusal) ++reload_counts_["refused_" + report.refusal->code];
        running_ = nullptr;
    }
    if (report.outcome != "unchanged") record(report, "");
    reports_changed_.notify_all();
}

Judged<void> PluginHost::perform(ReloadReport& report) {
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
Judged<void> PluginHost::start_plugin(ReloadReport& report) {
    const auto setup = configured(report.plugin);
    EW_ASSERT(setup.has_value());
    auto record = history_->record(report.plugin);
    if (!record) return refuse(from_error("history", record.error()));
    EW_CHECK(quarantine_what_died(report.plugin, *record));
    const auto tried = start_configured(report, *setup, *record);
    const bool can_fall_back = !record->committed_sha256.empty() &&
                               record->committed_sha256 != report.sha256 &&
                               artefacts_.has(record->committed_sha256);
    if (tried || !can_fall_back) return tried;
    spdlog::error("plugin {}: the configured file is not taken: {}", report.plugin,
                  to_text(tried.error()));
    Candidate committed;
    committed.report = &report;
    committed.reason = EW_CREATE_START;
    committed.bake = false;
    committed.settings = setup->settings;
    committed.configured_sha256 = record->configured_sha256;
    auto artefact = artefacts_.find(record->committed_sha256);
    if (!artefact) return tried;
    committed.artefact = std::move(*artefact);
    if (!examine_and_publish(committed)) return tried;
    const std::lock_guard lock(mutex_);
    plugins_[report.plugin].notice = "runs the committed " + short_hash(report.sha256) +
                                     " instead of the configured file: " + to_text(tried.error());
    return {};
}

Judged<void> PluginHost::quarantine_what_died(const std::string& plugin,
                                              const PluginRecord& record) {
    if (record.baking_sha256.empty()) return {};
    const std::string why = "the daemon died while it was baking";
    spdlog::error("plugin {}: {} is quarantined: {}", plugin, short_hash(record.baking_sha256),
                  why);
    if (auto kept = history_->quarantine(plugin, record.baking_sha256, why); !kept)
        return refuse(from_error("history", kept.error()));
    if (auto cleared = history_->clear_baking(plugin); !cleared)
        return refuse(from_error("history", cleared.error()));
    return {};
}

Judged<void> PluginHost::start_configured(ReloadReport& report, const PluginSetup& setup,
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
    return examine_and_publish(candidate);
}

Judged<void> PluginHost::reload_file(ReloadReport& report, const std::string& file) {
    const auto since = steady_clock::now();
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

Judged<void> PluginHost::roll_back(ReloadReport& report) {
    Plugin& plugin = plugins_[report.plugin];
    const std::string& to = report.request.to_sha256;
    const bool to_previous =
        plugin.bake && plugin.previous && plugin.previous->generation->sha256().starts_with(to);
    if (to_previous) {
        const std::lock_guard lock(mutex_);
        report.from_sha256 = plugin.active->generation->sha256();
        report.from_generation = plugin.active->generation->number();
        report.sha256 = plugin.previous->generation->sha256();
        report.version = plugin.previous->generation->manifest().version;
        report.build_id = plugin.previous->generation->manifest().build_id;
        report.generation = plugin.previous->generation->number();
        report.outcome = "committed";
    }
    if (to_previous) {
        take_back(report.plugin, plugin, "an operator asked for it", false);
        return {};
    }
    if (plugin.bake) {
        return refuse(
            {"busy", "staging", "no bake under way, or its previous generation as target",
             "generation " + std::to_string(plugin.active->generation->number()) + " bakes",
             "end the bake first: exportctl plugin rollback " + report.plugin});
    }
    const auto committed = history_->committed(report.plugin);
    if (!committed) return refuse(from_error("history", committed.error()));
    std::vector<std::string> matches;
    for (const std::string& sha256 : *committed) {
        if (sha256.starts_with(to) && sha256 != plugin.active->generation->sha256() &&
            artefacts_.has(sha256))
            matches.push_back(sha256);
    }
    if (to.empty() && matches.size() > 1) matches.resize(1);  // The newest.
    if (matches.size() != 1) {
        return refuse(
            {"unknown_hash", "staging",
             to.empty() ? "an earlier committed file" : "one committed file " + to + "...",
             std::to_string(matches.size()) + " of them",
             "exportctl plugin history " + report.plugin + " lists hashes; kept are the last " +
                 std::to_string(limits::kPluginArtefactsKept)});
    }
    Candidate candidate;
    candidate.report = &report;
    candidate.reason = EW_CREATE_ROLLBACK;
    candidate.check_contract = false;
    candidate.bake = false;
    EW_TRY(candidate.artefact, artefacts_.find(matches.front()));
    if (const auto setup = configured(report.plugin)) {
        candidate.settings = setup->settings;
        const auto file = artefacts_.take_in(setup->file);
        candidate.configured_sha256 = file ? file->sha256 : std::string();
    }
    return examine_and_publish(candidate);
}

Judged<void> PluginHost::commit_now(ReloadReport& report) {
    Plugin& plugin = plugins_[report.plugin];
    if (!plugin.bake) {
        return refuse(
            {"not_baking", "commit", "a generation that bakes", "none", "nothing is left to do"});
    }
    if (auto committed = commit(report.plugin, plugin); !committed)
        return refuse(from_error("history", committed.error()));
    const std::lock_guard lock(mutex_);
    report.sha256 = plugin.committed_sha256;
    report.generation = plugin.active->generation->number();
    report.outcome = "committed";
    return {};
}

Judged<void> PluginHost::examine_and_publish(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    EW_CHECK(inspect_candidate(candidate));
    if (is_unchanged(candidate)) {
        const std::lock_guard lock(mutex_);
        report.outcome = "unchanged";
        return {};
    }
    EW_CHECK(check_quarantine(candidate));
    EW_TRY(candidate.live_copy, artefacts_.make_live_copy(candidate.artefact));
    auto judged = [&]() -> Judged<void> {
        EW_CHECK(probe_candidate(candidate));
        EW_CHECK(compare_candidate(candidate));
        return check_budget(candidate);
    }();
    if (!judged || report.request.dry_run) artefacts_.drop_live_copy(candidate.live_copy);
    EW_CHECK(judged);
    if (report.request.dry_run) {
        const std::lock_guard lock(mutex_);
        report.outcome = "would_publish";
        return {};
    }
    EW_TRY(Loaded loaded, load_candidate(candidate));
    return publish_candidate(candidate, std::move(loaded));
}

Judged<void> PluginHost::inspect_candidate(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    const auto since = steady_clock::now();
    std::vector<std::string> allow_needed;
    {
        const std::lock_guard lock(mutex_);
        allow_needed = config_.policy.allow_needed;
        report.sha256 = candidate.artefact.sha256;
    }
    EW_TRY(candidate.inspected, inspect(candidate.artefact.bytes, allow_needed));
    const Manifest& manifest = candidate.inspected.manifest;
    if (!report.plugin.empty() && manifest.name != report.plugin) {
        return refuse({"wrong_name", "inspection", "the plugin " + report.plugin,
                       "one that calls itself " + manifest.name,
                       "correct the section name or the file"});
    }
    {
        const std::lock_guard lock(mutex_);
        report.plugin = manifest.name;
        report.version = manifest.version;
        report.build_id = manifest.build_id;
        const auto plugin = plugins_.find(manifest.name);
        if (plugin != plugins_.end() && plugin->second.active) {
            const Generation& active = *plugin->second.active->generation;
            if (report.request.action == Action::kLoad) {
                return refuse({"conflict", "inspection", "a plugin that is not loaded yet",
                               manifest.name + " is already loaded as generation " +
                                   std::to_string(active.number()),
                               "replace it with: exportctl plugin reload " + manifest.name});
            }
            report.from_generation = active.number();
            report.from_sha256 = active.sha256();
        }
    }
    set_step(report, "inspection",
             manifest.name + " " + manifest.version + ", ABI " +
                 std::to_string(manifest.abi_major) + "." + std::to_string(manifest.abi_minor) +
                 ", build-id " + manifest.build_id,
             since);
    return {};
}

Judged<void> PluginHost::probe_candidate(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    const auto since = steady_clock::now();
    ProbeRequest request;
    request.file = candidate.live_copy;
    request.sha256 = candidate.artefact.sha256;
    request.manifest = candidate.inspected.manifest;
    request.config = candidate.settings;
    request.golden = candidate.golden;
    {
        const std::lock_guard lock(mutex_);
        request.credentials = config_.credentials;
        request.timeout = config_.policy.probe_timeout;
    }
    auto probed = probe(options_.probe_program, request);
    if (!probed) {
        const bool deadly =
            probed.error().code == "probe_crash" || probed.error().code == "probe_timeout";
        if (deadly) {
            if (auto kept = history_->quarantine(report.plugin, candidate.artefact.sha256,
                                                 to_text(probed.error()));
                !kept)
                spdlog::error("plugin {}: {}", report.plugin, kept.error().message);
        }
        return refuse(probed.error());
    }
    candidate.probe = std::move(*probed);
    std::vector<std::string> pinned_by = candidate.inspected.pinned_by;
    pinned_by.insert(pinned_by.end(), candidate.probe.pinned_by.begin(),
                     candidate.probe.pinned_by.end());
    set_step(report, "probe",
             std::to_string(candidate.probe.golden_requests) + " golden requests; " +
                 (pinned_by.empty() ? "can be unmapped" : "stays mapped: " + join(pinned_by)),
             since);
    const std::lock_guard lock(mutex_);
    report.pinned_by = std::move(pinned_by);
    return {};
}

Judged<void> PluginHost::compare_candidate(Candidate& candidate) {
    const auto plugin = plugins_.find(candidate.report->plugin);
    if (plugin == plugins_.end() || !plugin->second.active) return {};
    const ContractDiff diff =
        compare_contracts(plugin->second.active->generation->methods(), candidate.probe.methods);
    {
        const std::lock_guard lock(mutex_);
        candidate.report->contract = diff;
    }
    if (!candidate.check_contract) return {};
    return check_contract(diff, candidate.report->request.allowed_contract_changes);
}

Judged<void> PluginHost::check_quarantine(const Candidate& candidate) {
    const std::string& sha256 = candidate.artefact.sha256;
    const auto found = history_->quarantined(sha256);
    if (!found) return refuse(from_error("history", found.error()));
    if (!*found) return {};
    if (candidate.report->request.lift_quarantine) {
        if (auto lifted = history_->lift_quarantine(sha256); !lifted)
            return refuse(from_error("history", lifted.error()));
        return {};
    }
    return refuse({"quarantined", "inspection", "a file that is not quarantined",
                   short_hash(sha256) + ", quarantined at " + to_iso8601((*found)->at_us) + ": " +
                       (*found)->reason,
                   "build a better one, or try this one again with --lift-quarantine"});
}

Judged<void> PluginHost::check_budget(const Candidate& candidate) const {
    const std::lock_guard lock(mutex_);
    const auto found = plugins_.find(candidate.report->plugin);
    if (found == plugins_.end()) return {};
    const Plugin& plugin = found->second;
    std::size_t images = plugin.retired.size();
    std::size_t bytes = candidate.artefact.bytes.size();
    for (const Retired& retired : plugin.retired) bytes += retired.loaded.file_bytes;
    for (const auto* loaded : {&plugin.active, &plugin.previous}) {
        if (!*loaded) continue;
        ++images;
        bytes += (*loaded)->file_bytes;
    }
    images += plugin.abandoned;
    if (images < config_.policy.generations_max && bytes <= limits::kPluginMappedBytesMax)
        return {};
    return refuse({"budget", "budget",
                   "fewer than " + std::to_string(config_.policy.generations_max) +
                       " images of this plugin in memory",
                   std::to_string(images) + ", of " + std::to_string(bytes) + " bytes",
                   "restart the daemon when convenient; [plugins] retire = unmap frees images, "
                   "generations_max allows more"});
}

bool PluginHost::is_unchanged(const Candidate& candidate) const {
    const std::lock_guard lock(mutex_);
    const auto plugin = plugins_.find(candidate.report->plugin);
    if (plugin == plugins_.end() || !plugin->second.active) return false;
    const Loaded& active = *plugin->second.active;
    const auto& credentials = config_.credentials;
    const bool same_credentials =
        active.credentials == credentials ||
        (active.credentials && credentials && active.credentials->all() == credentials->all());
    return active.generation->sha256() == candidate.artefact.sha256 &&
           active.settings == candidate.settings && same_credentials;
}

Judged<PluginHost::Loaded> PluginHost::load_candidate(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    const auto since = steady_clock::now();
    Generation::Setup setup;
    setup.path = candidate.live_copy;
    setup.sha256 = candidate.artefact.sha256;
    setup.manifest = candidate.inspected.manifest;
    setup.config = candidate.settings;
    setup.parts = options_.parts;
    setup.reason = candidate.reason;
    setup.on_fault = [this] {
        if (baking_.load(std::memory_order_relaxed)) wake();
    };
    Loaded loaded;
    {
        const std::lock_guard lock(mutex_);
        setup.number = last_generation_ + 1;
        setup.parts.credentials = config_.credentials;
        loaded.credentials = config_.credentials;
    }
    const std::uint64_t number = setup.number;
    auto generation = Generation::load(std::move(setup));
    if (!generation) {
        // It passed its probe, and part of it may be mapped now: nobody can tell, so it counts.
        const std::lock_guard lock(mutex_);
        const auto plugin = plugins_.find(report.plugin);
        if (plugin != plugins_.end()) ++plugin->second.abandoned;
        return refuse(generation.error());
    }
    loaded.generation = std::move(*generation);
    for (const PluginMethod& method : loaded.generation->methods()) {
        const auto other = routing_.current().find(method.name);
        if (other == routing_.current().end() ||
            other->second.generation->manifest().name == report.plugin)
            continue;
        return refuse(
            {"conflict", "loading", "methods nobody else answers",
             method.name + " belongs to plugin " + other->second.generation->manifest().name,
             "rename the method"});
    }
    loaded.file = report.file.empty() ? candidate.live_copy : report.file;
    loaded.settings = candidate.settings;
    loaded.pinned_by = report.pinned_by;
    loaded.file_bytes = candidate.artefact.bytes.size();
    {
        const std::lock_guard lock(mutex_);
        last_generation_ = number;
    }
    set_step(report, "loading", "generation " + std::to_string(number), since);
    return loaded;
}

Judged<void> PluginHost::publish_candidate(Candidate& candidate, Loaded loaded) {
    ReloadReport& report = *candidate.report;
    const std::string sha256 = candidate.artefact.sha256;
    std::chrono::milliseconds bake_time{};
    {
        const std::lock_guard lock(mutex_);
        bake_time = config_.policy.bake;
    }
    const bool replaces = plugins_.contains(report.plugin) && plugins_[report.plugin].active;
    const bool bakes = candidate.bake && bake_time.count() > 0;
    // Before it serves anybody: a crash from here on must find the mark.
    if (bakes) {
        if (auto marked = history_->set_baking(report.plugin, sha256); !marked)
            return refuse(from_error("history", marked.error()));
    }
    std::optional<Loaded> old;
    const auto since = steady_clock::now();
    {
        const std::lock_guard lock(mutex_);
        Plugin& plugin = plugins_[report.plugin];
        report.generation = loaded.generation->number();
        if (replaces && options_.ledger != nullptr) {
            report.window.emplace();
            report.window->before = options_.ledger->read();
            report.window->opened = since;
        }
        if (bakes) {
            plugin.bake = Bake{since + bake_time,
                               replaces ? plugin.active->generation->traffic() : TrafficStats{},
                               report.id, candidate.configured_sha256};
            plugin.previous = std::move(plugin.active);
            if (!replaces) plugin.committed_sha256 = candidate.committed_sha256;
        } else if (replaces) {
            old = std::move(plugin.active);
        }
        plugin.active = std::move(loaded);
    }
    publish_routes();
    set_step(report, "publishing", bakes ? "baking" : "serving", since);
    spdlog::info("plugin {} {} generation {}: serving, build-id {}{}", report.plugin,
                 report.version, report.generation, report.build_id, bakes ? ", baking" : "");
    if (!bakes) {
        if (auto committed = history_->commit(report.plugin, sha256, candidate.configured_sha256);
            !committed)
            spdlog::error("plugin {}: not written down as committed: {}", report.plugin,
                          committed.error().message);
    }
    if (old) retire(plugins_[report.plugin], std::move(*old));
    const std::lock_guard lock(mutex_);
    if (!bakes) {
        plugins_[report.plugin].committed_sha256 = sha256;
        if (report.request.trigger != "bake") plugins_[report.plugin].notice.clear();
    }
    report.outcome = bakes ? "baking" : "committed";
    return {};
}

void PluginHost::set_step(ReloadReport& report, const std::string& name, const std::string& detail,
                          steady_clock::time_point since) {
    const auto took =
        std::chrono::duration_cast<std::chrono::microseconds>(steady_clock::now() - since);
    const std::lock_guard lock(mutex_);
    report.steps.push_back({name, detail, took.count()});
}

void PluginHost::note_refusal(ReloadReport& report, const Refusal& refusal) {
    spdlog::warn("plugin {}: {}", report.plugin.empty() ? report.file : report.plugin,
                 to_text(refusal));
    const std::lock_guard lock(mutex_);
    report.refusal = refusal;
    report.outcome = "refused";
}

void PluginHost::record(const ReloadReport& report, const std::string& detail) {
    HistoryEntry entry;
    entry.plugin = report.plugin;
    entry.trigger = report.request.trigger;
    entry.file = report.file;
    entry.sha256 = report.sha256;
    entry.version = report.version;
    entry.generation = static_cast<std::int64_t>(report.generation);
    entry.outcome = report.outcome;
    entry.code = report.refusal ? report.refusal->code : "";
    entry.detail = report.refusal ? to_text(*report.refusal) : detail;
    if (auto added = history_->add(std::move(entry)); !added)
        spdlog::error("plugin {}: history: {}", report.plugin, added.error().message);
}

std::optional<PluginSetup> PluginHost::configured(const std::string& plugin) const {
    const std::lock_guard lock(mutex_);
    const auto found = std::ranges::find(config_.plugins, plugin, &PluginSetup::name);
    if (found == config_.plugins.end()) return std::nullopt;
    return *found;
}

Judged<std::string> PluginHost::read_golden(const std::string& file,
                                            const std::string& configured_file) const {
    const std::lock_guard lock(mutex_);
    const auto setup = std::ranges::find(config_.plugins, configured_file, &PluginSetup::file);
    std::string path = setup == config_.plugins.end() ? std::string() : setup->golden_file;
    const bool named = !path.empty();
    if (!named) path = std::filesystem::path(file).replace_extension(".golden.jsonl").string();
    auto text = read_file(path, limits::kGoldenFileBytesMax);
    if (text) return std::move(*text);
    if (!named && text.error().code == ErrorCode::kNotFound) return std::string();
    return refuse(from_error("staging", text.error()));
}

}  // namespace export_worker::plugin_host
