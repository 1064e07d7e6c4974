#include "daemon/plugins/lifecycle/last_end.hpp"

#include <utility>

#include "base/log.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/running/crash_record.hpp"

namespace export_worker::plugins {
namespace {

// What the process before could not write down itself.
Result<void> record_death(History& history, const std::string& plugin, const std::string& sha256,
                          const std::string& detail) {
    HistoryEntry entry;
    entry.plugin = plugin;
    entry.trigger = "start";
    entry.sha256 = sha256;
    entry.outcome = "crashed";
    entry.detail = detail;
    return history.add(std::move(entry));
}

// A call in which the process before died less often than kPluginDeathsMax in a row.
void log_first_death(const PluginCallMark& mark) {
    const std::string hash = mark.sha256.substr(0, 16);
    if (mark.phase == kProbingPhase) {
        log_warn(
            "plugin {}: the daemon died during the probe of {}; it is probed once more, and then "
            "only by an operator's reload if the daemon dies there again",
            mark.plugin, hash);
        return;
    }
    log_error(
        "plugin {}: the daemon died inside {} of {}; it is tried once more, and quarantined if the "
        "daemon dies there again",
        mark.plugin, mark.phase, hash);
}

// For an alarm; empty: none.
Result<std::string> judge_call(History& history, const ArtifactStore& artifacts,
                               const InterruptedCall& call) {
    const PluginCallMark& mark = call.mark;
    const std::string hash = mark.sha256.substr(0, 16);
    const std::string why =
        "the daemon died " + std::to_string(call.deaths) + " times in a row inside " + mark.phase;
    EW_CHECK(record_death(history, mark.plugin, mark.sha256, why));
    if (call.deaths < limits::kPluginDeathsMax) {
        log_first_death(mark);
        return std::string();
    }
    // The load that it is refused for says so (stages.cpp).
    if (mark.phase == kProbingPhase) return std::string();
    EW_TRY(const std::vector<std::string> others,
           usable_committed(history, artifacts, mark.plugin, mark.sha256));
    // It has served until then; without it nothing would.
    if (mark.phase == kEndingPhase && others.empty()) {
        log_error("plugin {}: {} of {}; there is no other committed file", mark.plugin, why, hash);
        return why + " of " + hash + "; there is no committed file to go back to: replace it";
    }
    log_error("plugin {}: {} is quarantined: {}", mark.plugin, hash, why);
    EW_CHECK(history.quarantine(mark.plugin, mark.sha256, why));
    EW_CHECK(history.end_call(mark));
    return hash + " is quarantined: " + why;
}

// For an alarm; empty: the start that quarantines it has its own.
Result<std::string> judge_crash(History& history, const ArtifactStore& artifacts,
                                const CrashedFile& crashed) {
    const std::string where =
        crashed.in_handle ? "inside handle()" : "in its code outside handle()";
    EW_CHECK(record_death(history, crashed.plugin, crashed.sha256, "the daemon died " + where));
    EW_TRY(const PluginRecord record, history.record(crashed.plugin));
    // Quarantined at once, like all that ends the daemon while it bakes.
    if (record.baking_sha256 == crashed.sha256) return std::string();
    EW_TRY(const std::int64_t crashes, history.count_crash(crashed.sha256));
    EW_TRY(const std::vector<std::string> earlier,
           usable_committed(history, artifacts, crashed.plugin, crashed.sha256));
    const std::string count = std::to_string(crashes) + " times within " +
                              std::to_string(limits::kPluginCrashWindow.count()) + " min " + where;
    std::string notice = crashed.sha256.substr(0, 16) + " has ended the daemon " + count;
    if (crashes < limits::kPluginCrashesMax) {
        notice += "; at " + std::to_string(limits::kPluginCrashesMax) +
                  " the daemon goes back to the committed file before it, if there is one";
    } else if (earlier.empty()) {
        notice += "; there is no committed file to go back to: replace it";
    } else {
        EW_CHECK(
            history.quarantine(crashed.plugin, crashed.sha256, "it ended the daemon " + count));
        EW_CHECK(history.forget_crashes(crashed.sha256));
        notice = crashed.sha256.substr(0, 16) + " is quarantined: it ended the daemon " + count;
    }
    log_error("plugin {}: {}", crashed.plugin, notice);
    return notice;
}

// For an alarm; empty: there is none.
Result<std::string> judge_history(History& history, const ArtifactStore& artifacts,
                                  const LastRun& run) {
    const std::size_t files = artifacts.matching("").size();
    if (!run.is_first || files == 0) return std::string();
    EW_TRY(const std::vector<HistoryEntry> entries, history.entries("", 1));
    if (!entries.empty()) return std::string();
    return "plugins.db is empty, although plugins/artifacts in state_dir has " +
           std::to_string(files) +
           " plugin files: what was committed, pinned and quarantined is not known any more, and "
           "the configured files serve";
}

}  // namespace

Result<LastEnd> judge_last_end(History& history, const ArtifactStore& artifacts,
                               const std::string& crashes_path) {
    LastEnd out;
    EW_TRY(const LastRun run, history.begin_run());
    EW_TRY(out.history_lost, judge_history(history, artifacts, run));
    EW_TRY(const std::vector<CrashedFile> crashes, take_crashes(crashes_path));
    // Several threads may have crashed in one file before the process was gone.
    std::map<std::string, CrashedFile> crashed_in;
    std::set<std::string> hashes;
    for (const CrashedFile& crashed : crashes) {
        crashed_in.emplace(crashed.sha256, crashed);
        hashes.insert(crashed.sha256);
    }
    EW_TRY(const std::vector<InterruptedCall> calls, history.count_interrupted_calls(hashes));
    for (const InterruptedCall& call : calls) {
        if (!call.counts) {
            log_warn(
                "plugin {}: {} of {} was under way when the daemon died inside another plugin "
                "file; it is tried again",
                call.mark.plugin, call.mark.phase, call.mark.sha256.substr(0, 16));
            continue;
        }
        out.died_in.insert(call.mark.sha256);
        EW_TRY(const std::string notice, judge_call(history, artifacts, call));
        if (!notice.empty()) out.notices[call.mark.plugin] = notice;
        // The crash of such a call is the death that was counted.
        const bool is_same = call.mark.phase != kProbingPhase;
        const auto crash = crashed_in.find(call.mark.sha256);
        if (is_same && crash != crashed_in.end() && !crash->second.in_handle)
            crashed_in.erase(crash);
    }
    for (const auto& [sha256, crashed] : crashed_in) {
        out.died_in.insert(sha256);
        EW_TRY(const std::string notice, judge_crash(history, artifacts, crashed));
        if (!notice.empty()) out.notices[crashed.plugin] = notice;
    }
    if (run.unfinished > 0 && out.died_in.empty()) {
        log_warn(
            "the daemon has not stopped in good order {} times in a row, and no plugin is known to "
            "have ended it: kill -9, a power cut, _exit() in a plugin, or a stop that took more "
            "than "
            "28 s (status 70)",
            run.unfinished);
    }
    return out;
}

Result<std::vector<std::string>> usable_committed(History& history, const ArtifactStore& artifacts,
                                                  const std::string& plugin,
                                                  const std::string& but_sha256) {
    EW_TRY(const PluginRecord record, history.record(plugin));
    EW_TRY(const std::vector<std::string> committed, history.committed(plugin));
    std::vector<std::string> candidates{record.committed_sha256};
    candidates.insert(candidates.end(), committed.begin(), committed.end());
    std::vector<std::string> out;
    for (const std::string& sha256 : candidates) {
        if (sha256.empty() || sha256 == but_sha256 || !artifacts.has(sha256)) continue;
        EW_TRY(const auto quarantined, history.quarantined(sha256));
        if (!quarantined) out.push_back(sha256);
    }
    return out;
}

}  // namespace export_worker::plugins
