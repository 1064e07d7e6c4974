#include "daemon/plugins/lifecycle/operators.hpp"

#include <utility>

#include "base/crypto/sha256.hpp"
#include "base/fault_point.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"

namespace export_worker::plugins {
namespace {

// "1.0.0, 0123456789abcdef", without what is not known.
std::string code_of(const std::string& version, const std::string& sha256) {
    return version + (version.empty() || sha256.empty() ? "" : ", ") + sha256.substr(0, 16);
}

tl::unexpected<Error> busy_baking(const std::string& plugin, const Generation& active) {
    return fail(ErrorCode::kConflict, "busy: plugin " + plugin + " bakes generation " +
                                          std::to_string(active.number()) + " (" +
                                          code_of(active.manifest().version, active.sha256()) +
                                          "); wait, or end it with: exportctl plugin commit " +
                                          plugin + " | exportctl plugin rollback " + plugin);
}

tl::unexpected<Error> busy_with(const ReloadReport& other) {
    const std::string what = other.plugin.empty() ? other.request.file : "plugin " + other.plugin;
    const std::string code = code_of(other.version, other.sha256);
    return fail(ErrorCode::kConflict, "busy: " + what + " is being worked on (report " +
                                          std::to_string(other.id) + ", asked for by " +
                                          other.request.trigger + ")" +
                                          (code.empty() ? "" : " with " + code) +
                                          "; wait for it, then look at: exportctl plugin history");
}

// An operator decided by hand: what waited would replace what was decided.
void cancel_waiting(const LifecycleDeps& deps, const ReloadReport& by) {
    for (const std::uint64_t id : deps.reports.drop_automatic(by.plugin)) {
        deps.reports.update(
            id, [&](ReloadReport& report) { set_serving(report, deps.roster.state()); });
        deps.reports.complete(
            id, refuse({"superseded", "queued", "nothing decided meanwhile",
                        "a later rollback or commit (report " + std::to_string(by.id) + ")",
                        "to take the configured file and settings: exportctl plugin reload " +
                            by.plugin}));
    }
}

// Of what the configured file holds now; empty: there is none, or it cannot be read.
std::string configured_sha256(const HostConfig& config, const std::string& plugin) {
    const PluginSetup* const setup = find_setup(config, plugin);
    if (setup == nullptr) return "";
    const auto bytes = read_file(setup->file, limits::kPluginFileBytesMax);
    return bytes ? to_hex(crypto::sha256(*bytes)) : "";
}

Next roll_back_to_warm(const LifecycleDeps& deps, const HostConfig& config,
                       const ReloadReport& report, const PluginEntry& entry) {
    const Generation& warm = *entry.previous->generation;
    if (!warm.sha256().starts_with(report.request.to_sha256)) {
        return refuse(
            {"busy", "staging", "no bake under way, or its previous generation as target",
             "generation " + std::to_string(entry.active->generation->number()) + " bakes",
             "end the bake first: exportctl plugin rollback " + report.plugin});
    }
    deps.reports.update(report.id, [&](ReloadReport& changed) { set_generation(changed, warm); });
    cancel_waiting(deps, report);
    const std::string why = "an operator asked for it";
    const std::uint64_t baked = entry.bake->report;
    log_error("plugin {} generation {}: taken back: {}; generation {} answers again", report.plugin,
              report.from_generation, why, warm.number());
    const TakenBack taken{configured_sha256(config, report.plugin)};
    if (auto changed = deps.transitions.change(report.plugin, taken); !changed)
        return refuse(refusal_of("history", changed.error()));
    deps.roster.change_plugin(report.plugin, [](PluginEntry& changed) { changed.notice.clear(); });
    deps.reports.end_bake(baked, "rolled_back", why);
    if (entry.unwritten.empty()) return "committed";
    return refuse({"io", "history", "to write down that it was taken back", entry.unwritten_because,
                   "generation " + std::to_string(warm.number()) +
                       " answers again; writing is tried again by itself, and an alarm in "
                       "exportctl status goes away once it is done"});
}

// The hash of the one committed file a rollback means.
Verdict<std::string> committed_target(const LifecycleDeps& deps, const ReloadReport& report) {
    const std::string& to = report.request.to_sha256;
    const auto committed = deps.history.committed(report.plugin);
    if (!committed) return refuse(refusal_of("history", committed.error()));
    const std::string& serving = deps.roster.state().active(report.plugin).sha256();
    std::vector<std::string> matches;
    for (const std::string& sha256 : *committed) {
        const bool is_meant = sha256.starts_with(to) && (sha256 != serving || !to.empty());
        if (is_meant && deps.artifacts.has(sha256)) matches.push_back(sha256);
    }
    if (to.empty() && matches.size() > 1) matches.resize(1);  // The newest.
    if (matches.size() == 1) return matches.front();
    return refuse({"unknown_hash", "staging",
                   to.empty() ? "an earlier committed file" : "one committed file " + to + "...",
                   std::to_string(matches.size()) + " of them",
                   "exportctl plugin history " + report.plugin +
                       " lists hashes; kept are the last " +
                       std::to_string(limits::kPluginArtifactsKept)});
}

}  // namespace

bool needs_load(const ReloadRequest& request, const RosterState& roster) {
    return request.loads() ||
           (request.action == Action::kRollback && !roster.bakes(request.plugin));
}

bool waits_for_bake(const ReloadRequest& request, const RosterState& roster) {
    return request.loads() && !request.dry_run && roster.bakes(request.plugin);
}

Result<void> check_request(ReloadRequest& request, const HostConfig& config,
                           const RosterState& roster) {
    const bool can_begin =
        request.action == Action::kLoad ||
        (request.action == Action::kReload && find_setup(config, request.plugin) != nullptr);
    if (!roster.serves(request.plugin) && !can_begin) {
        return fail(ErrorCode::kNotFound,
                    "no plugin '" + request.plugin + "'; exportctl plugin list names them");
    }
    if (request.action == Action::kRollback && roster.bakes(request.plugin))
        request.baking_generation = roster.active(request.plugin).number();
    return {};
}

Result<void> check_busy(const ReloadRequest& request, const RosterState& roster,
                        const std::optional<ReloadReport>& other) {
    if (waits_for_bake(request, roster))
        return busy_baking(request.plugin, roster.active(request.plugin));
    const bool ends_bake = !request.loads() && roster.bakes(request.plugin);
    if (!other || ends_bake || request.dry_run) return {};
    return busy_with(*other);
}

Next roll_back(const LifecycleDeps& deps, const HostConfig& config, const ReloadReport& report) {
    const PluginEntry& entry = deps.roster.state().plugins.at(report.plugin);
    const std::uint64_t leaves = report.request.baking_generation;
    // The bake has taken it back in the meantime.
    if (leaves != 0 && entry.active->generation->number() != leaves) return "unchanged";
    if (entry.bake) return roll_back_to_warm(deps, config, report, entry);
    EW_TRY(const std::string target, committed_target(deps, report));
    fault_point("plugin.rollback_begun");
    cancel_waiting(deps, report);
    Load load;
    load.report = report.id;
    load.request = report.request;
    load.act = "rollback";
    load.order = order_for(report.request, config, deps.roster.state());
    load.order.kept_sha256 = target;
    load.order.reason = EW_CREATE_ROLLBACK;
    load.order.checks_contract = false;
    return load;
}

Next commit_now(const LifecycleDeps& deps, const ReloadReport& report) {
    const PluginEntry& entry = deps.roster.state().plugins.at(report.plugin);
    const Generation& generation = *entry.active->generation;
    deps.reports.update(report.id,
                        [&](ReloadReport& changed) { set_generation(changed, generation); });
    if (!entry.bake) {
        return refuse(
            {"not_baking", "commit", "a generation that bakes", "none", "nothing is left to do"});
    }
    cancel_waiting(deps, report);
    const std::uint64_t baked = entry.bake->report;
    if (auto committed = deps.transitions.change(report.plugin, BakeEnded{}); !committed)
        return refuse(refusal_of("history", committed.error()));
    log_info("plugin {} {} generation {}: committed", report.plugin, generation.manifest().version,
             generation.number());
    deps.roster.change_plugin(report.plugin, [](PluginEntry& changed) { changed.notice.clear(); });
    deps.reports.set_outcome(baked, "committed");
    return "committed";
}

Next unpin(const LifecycleDeps& deps, const ReloadReport& report) {
    const SlotState& slot = deps.roster.state().plugins.at(report.plugin).slot;
    deps.reports.update(report.id, [&](ReloadReport& changed) {
        changed.sha256 = slot.serving;
        changed.version = report.from_version;
    });
    const bool pinned = !slot.kept.pinned.empty();
    if (auto changed = deps.transitions.change(report.plugin, Unpinned{}); !changed)
        return refuse(refusal_of("history", changed.error()));
    return pinned ? "unpinned" : "unchanged";
}

}  // namespace export_worker::plugins
