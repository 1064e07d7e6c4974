// PluginHost, the stages a candidate goes through, in order.

#include <algorithm>

#include "base/log.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;

std::string join(const std::vector<std::string>& words) {
    std::string out;
    for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
    return out;
}

}  // namespace

Judged<std::string> PluginHost::examine_and_publish(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    EW_CHECK(inspect_candidate(candidate));
    if (is_unchanged(candidate)) return "unchanged";
    EW_CHECK(check_quarantine(candidate));
    EW_TRY(candidate.live_copy, artefacts_.make_live_copy(candidate.artefact));
    auto judged = [&]() -> Judged<void> {
        EW_CHECK(probe_candidate(candidate));
        EW_CHECK(compare_candidate(candidate));
        return check_budget(candidate);
    }();
    if (!judged || report.request.dry_run) artefacts_.drop_live_copy(candidate.live_copy);
    EW_CHECK(judged);
    if (report.request.dry_run) return "would_publish";
    EW_TRY(Loaded loaded, load_candidate(candidate));
    return publish_candidate(candidate, std::move(loaded));
}

Judged<void> PluginHost::inspect_candidate(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    const auto since = now();
    std::vector<std::string> allow_needed;
    AllowedImports allow_imports;
    {
        const std::lock_guard lock(mutex_);
        allow_needed = config_.policy.allow_needed;
        allow_imports = config_.policy.allow_imports;
        report.sha256 = candidate.artefact.sha256;
    }
    EW_TRY(candidate.inspected, inspect(candidate.artefact.bytes, allow_needed, allow_imports));
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
    const auto since = now();
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
    auto probed = probe(options_.probe_program, request, *options_.parts.clock, &stopping_);
    if (!probed) {
        const bool deadly =
            probed.error().code == "probe_crash" || probed.error().code == "probe_timeout";
        if (deadly) {
            // With more time it may pass: see check_quarantine().
            const bool slow = probed.error().code == "probe_timeout";
            if (auto kept = history_->quarantine(report.plugin, candidate.artefact.sha256,
                                                 to_text(probed.error()),
                                                 slow ? request.timeout : milliseconds(0));
                !kept)
                log_error("plugin {}: {}", report.plugin, kept.error().message);
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
    if (!found) return refuse(refusal_of("history", found.error()));
    if (!*found) return {};
    milliseconds probe_timeout{};
    {
        const std::lock_guard lock(mutex_);
        probe_timeout = config_.policy.probe_timeout;
    }
    const bool has_more_time =
        (*found)->probe_timeout_ms > 0 && probe_timeout > milliseconds((*found)->probe_timeout_ms);
    if (candidate.report->request.lift_quarantine || has_more_time) {
        if (auto lifted = history_->lift_quarantine(sha256); !lifted)
            return refuse(refusal_of("history", lifted.error()));
        return {};
    }
    return refuse({"quarantined", "inspection", "a file that is not quarantined",
                   sha256.substr(0, 16) + ", quarantined at " + to_iso8601((*found)->at_us) + ": " +
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
    // New ones from the same store reach the active generation as they are; another store with
    // the same in it changes nothing.
    const bool same_credentials = active.credentials == config_.credentials ||
                                  (active.credentials && config_.credentials &&
                                   active.credentials->has_same_material(*config_.credentials));
    return active.generation->sha256() == candidate.artefact.sha256 &&
           active.settings == candidate.settings && same_credentials;
}

Judged<PluginHost::Loaded> PluginHost::load_candidate(Candidate& candidate) {
    ReloadReport& report = *candidate.report;
    const auto since = now();
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
    auto generation = load_marked(candidate, std::move(setup));
    if (generation) {
        if (auto same = check_same_methods(candidate.probe.methods, (*generation)->methods());
            !same)
            generation = refuse(same.error());
    }
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
        Refusal conflict{
            "conflict", "loading", "methods nobody else answers",
            method.name + " belongs to plugin " + other->second.generation->manifest().name,
            "rename the method"};
        if (!end_generation(*loaded.generation, false)) leave_alone(std::move(loaded.generation));
        return refuse(std::move(conflict));
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

// No code of the plugin runs here before the mark is on disk.
Judged<std::unique_ptr<Generation>> PluginHost::load_marked(const Candidate& candidate,
                                                            Generation::Setup setup) {
    const PluginCallMark mark{candidate.report->plugin, candidate.artefact.sha256, kLoadingPhase};
    if (calls_.hung().size() >= limits::kPluginCallsHungMax) {
        return refuse({"budget", "loading",
                       "fewer than " + std::to_string(limits::kPluginCallsHungMax) +
                           " calls into plugins that do not return",
                       std::to_string(limits::kPluginCallsHungMax), "restart the daemon"});
    }
    std::vector<std::string> methods;
    for (const PluginMethod& method : candidate.probe.methods) methods.push_back(method.name);
    if (auto kept = history_->set_methods(mark.plugin, join(methods)); !kept)
        return refuse(refusal_of("history", kept.error()));
    if (auto marked = history_->begin_call(mark); !marked)
        return refuse(refusal_of("history", marked.error()));
    // Shared with a call that does not return.
    const auto owned = std::make_shared<Generation::Setup>(std::move(setup));
    const auto loaded = std::make_shared<std::optional<Judged<std::unique_ptr<Generation>>>>();
    if (!run_marked(mark,
                    [owned, loaded] { loaded->emplace(Generation::load(std::move(*owned))); })) {
        return refuse(
            {"load_timeout", "loading",
             std::string(kLoadingPhase) + " to return within [plugins] probe_timeout_s",
             "it has not, and its thread is left behind",
             "make it faster or raise probe_timeout_s; restart the daemon when convenient"});
    }
    return std::move(**loaded);
}

Judged<std::string> PluginHost::publish_candidate(Candidate& candidate, Loaded loaded) {
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
            return refuse(refusal_of("history", marked.error()));
    }
    std::optional<Loaded> old;
    const auto since = now();
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
        left_out_.erase(report.plugin);
        if (report.request.trigger != "start") crash_notices_.erase(report.plugin);
    }
    publish_routes();
    set_step(report, "publishing", bakes ? "baking" : "serving", since);
    log_info("plugin {} {} generation {}: serving, build-id {}{}", report.plugin, report.version,
             report.generation, report.build_id, bakes ? ", baking" : "");
    if (!bakes) {
        if (auto committed = history_->commit(report.plugin, sha256, candidate.configured_sha256);
            !committed)
            log_error("plugin {}: not written down as committed: {}", report.plugin,
                      committed.error().message);
    }
    if (old) retire(plugins_[report.plugin], std::move(*old));
    const std::lock_guard lock(mutex_);
    if (!bakes) {
        plugins_[report.plugin].committed_sha256 = sha256;
        if (report.request.trigger != "bake") plugins_[report.plugin].notice.clear();
    }
    return bakes ? "baking" : "committed";
}

}  // namespace export_worker::plugins
