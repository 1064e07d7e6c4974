#include "daemon/plugin_host/last_end.hpp"

#include "base/log.hpp"
#include "daemon/plugin_host/limits.hpp"

namespace export_worker::plugin_host {
namespace {

Result<void> judge_call(History& history, const InterruptedCall& call) {
    const PluginCallMark& mark = call.mark;
    const std::string hash = mark.sha256.substr(0, 16);
    if (call.deaths < limits::kPluginDeathsMax) {
        log_error(
            "plugin {}: the daemon died inside {} of {}; it is tried once more, and quarantined if "
            "the daemon dies there again",
            mark.plugin, mark.phase, hash);
        return {};
    }
    const std::string why =
        "the daemon died " + std::to_string(call.deaths) + " times in a row inside " + mark.phase;
    log_error("plugin {}: {} is quarantined: {}", mark.plugin, hash, why);
    EW_CHECK(history.quarantine(mark.plugin, mark.sha256, why));
    return history.end_call(mark);
}

}  // namespace

Result<bool> judge_last_end(History& history) {
    EW_TRY(const std::vector<InterruptedCall> calls, history.count_interrupted_calls());
    for (const InterruptedCall& call : calls) EW_CHECK(judge_call(history, call));
    return !calls.empty();
}

}  // namespace export_worker::plugin_host
