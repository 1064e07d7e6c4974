#include "daemon/plugins/lifecycle/marked_calls.hpp"

#include "base/fault_point.hpp"
#include "base/log.hpp"

namespace export_worker::plugins {

Result<bool> MarkedCalls::run(const PluginCallMark& mark, std::chrono::milliseconds timeout,
                              std::function<void()> work) {
    EW_CHECK(history_.begin_call(mark));
    fault_point("plugin.load_marked");
    return run_now(mark, timeout, std::move(work));
}

bool MarkedCalls::end(Generation& generation, std::chrono::milliseconds timeout, bool unmap) {
    const PluginCallMark mark{generation.manifest().name, generation.sha256(), kEndingPhase};
    if (auto marked = history_.begin_call(mark); !marked)
        log_error("plugin {}: {}", mark.plugin, marked.error().message);
    fault_point("plugin.end_marked");
    return run_now(mark, timeout, [&generation, unmap] {
        generation.end_instance();
        if (unmap) generation.unmap();
    });
}

bool MarkedCalls::run_now(const PluginCallMark& mark, std::chrono::milliseconds timeout,
                          std::function<void()> work) {
    const CallName call{mark.plugin, mark.phase + " of " + mark.sha256.substr(0, 16)};
    if (!thread_.run(call, std::move(work), timeout)) {
        log_error("plugin {}: {} does not return; its thread is left behind", call.plugin,
                  call.what);
        hung_marks_.push_back(mark);
        return false;
    }
    fault_point("plugin.call_returned");
    if (auto ended = history_.end_call(mark); !ended)
        log_error("plugin {}: {}", mark.plugin, ended.error().message);
    return true;
}

void MarkedCalls::forgive() {
    for (const PluginCallMark& mark : hung_marks_) {
        if (auto ended = history_.end_call(mark); !ended)
            log_error("plugin {}: {}", mark.plugin, ended.error().message);
    }
}

void leave_alone(std::unique_ptr<Generation> generation) {
    static std::vector<std::unique_ptr<Generation>> left_alone;
    left_alone.push_back(std::move(generation));
}

}  // namespace export_worker::plugins
