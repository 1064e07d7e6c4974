#include "daemon/plugins/lifecycle/last_end.hpp"

#include "base/log.hpp"
#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/running/crash_record.hpp"

namespace export_worker::plugins {
namespace {

// For an alarm; empty: none.
Result<std::string> judge_call(History& history, const ArtefactStore& artefacts,
                               const InterruptedCall& call) {
    const PluginCallMark& mark = call.mark;
    const std::string hash = mark.sha256.substr(0, 16);
    if (call.deaths < limits::kPluginDeathsMax) {
        log_error(
            "plugin {}: the daemon died inside {} of {}; it is tried once more, and quarantined if "
            "the daemon dies there again",
            mark.plugin, mark.phase, hash);
        return std::string();
    }
    const std::string why =
        "the daemon died " + std::to_string(call.deaths) + " times in a row inside " + mark.phase;
    EW_TRY(const std::vector<std::string> others,
           usable_committed(history, artefacts, mark.plugin, mark.sha256));
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
Result<std::string> judge_crash(History& history, const ArtefactStore& artefacts,
                                const CrashedFile& crashed) {
    EW_TRY(const PluginRecord record, history.record(crashed.plugin));
    // Quarantined at once, like all that ends the daemon while it bakes.
    if (record.baking_sha256 == crashed.sha256) return std::string();
    EW_TRY(const std::int64_t crashes, history.count_crash(crashed.sha256));
    EW_TRY(const std::vector<std::string> earlier,
           usable_committed(history, artefacts, crashed.plugin, crashed.sha256));
    const std::string count = std::to_string(crashes) + " times within " +
                              std::to_string(limits::kPluginCrashWindow.count()) +
                              " min inside handle()";
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

}  // namespace

Result<LastEnd> judge_last_end(History& history, const ArtefactStore& artefacts,
                               const std::string& crashes_path) {
    LastEnd out;
    EW_TRY(const std::vector<InterruptedCall> calls, history.count_interrupted_calls());
    for (const InterruptedCall& call : calls) {
        out.died_in.insert(call.mark.sha256);
        EW_TRY(const std::string notice, judge_call(history, artefacts, call));
        if (!notice.empty()) out.notices[call.mark.plugin] = notice;
    }
    EW_TRY(const std::vector<CrashedFile> crashes, take_crashes(crashes_path));
    for (const CrashedFile& crashed : crashes) {
        out.died_in.insert(crashed.sha256);
        EW_TRY(const std::string notice, judge_crash(history, artefacts, crashed));
        if (!notice.empty()) out.notices[crashed.plugin] = notice;
    }
    return out;
}

Result<std::vector<std::string>> usable_committed(History& history, const ArtefactStore& artefacts,
                                                  const std::string& plugin,
                                                  const std::string& but_sha256) {
    EW_TRY(const PluginRecord record, history.record(plugin));
    EW_TRY(const std::vector<std::string> committed, history.committed(plugin));
    std::vector<std::string> candidates{record.committed_sha256};
    candidates.insert(candidates.end(), committed.begin(), committed.end());
    std::vector<std::string> out;
    for (const std::string& sha256 : candidates) {
        if (sha256.empty() || sha256 == but_sha256 || !artefacts.has(sha256)) continue;
        EW_TRY(const auto quarantined, history.quarantined(sha256));
        if (!quarantined) out.push_back(sha256);
    }
    return out;
}

}  // namespace export_worker::plugins
