// Calls into plugin code outside handle(): each is written down before it begins and crossed out
// when it has returned, and none is waited for longer than it may take.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <vector>

#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/running/generation.hpp"
#include "daemon/plugins/running/plugin_thread.hpp"

namespace export_worker::plugins {

class MarkedCalls {
public:
    // Both outlive it.
    MarkedCalls(History& history, const Clock& clock) : history_(history), thread_(clock) {}

    // Runs `work`, at most for `timeout`. False: it does not return, and must own or outlive
    // everything it uses; its mark stays, because it may still end the daemon. Errors: the mark
    // cannot be written, and nothing was run. [one-owner]
    [[nodiscard]] Result<bool> run(const PluginCallMark& mark, std::chrono::milliseconds timeout,
                                   std::function<void()> work);
    // quiesce and destroy, and the unmapping if `unmap`. False: they do not return, and the
    // generation must stay for ever. Without a mark when it cannot be written. [one-owner]
    [[nodiscard]] bool end(Generation& generation, std::chrono::milliseconds timeout, bool unmap);

    // As PluginThread. [any-thread]
    void hurry(std::chrono::milliseconds timeout) { thread_.hurry(timeout); }
    [[nodiscard]] std::vector<HungCall> hung() const { return thread_.hung(); }
    // As PluginThread. [one-owner]
    void stop() { thread_.stop(); }
    // The daemon stops in good order: calls that do not return are no deaths. [one-owner]
    void forgive();

private:
    [[nodiscard]] bool run_now(const PluginCallMark& mark, std::chrono::milliseconds timeout,
                               std::function<void()> work);

    History& history_;
    PluginThread thread_;
    std::vector<PluginCallMark> hung_marks_;
};

// A generation with a thread inside its code cannot be freed: it stays until the process
// ends.
void leave_alone(std::unique_ptr<Generation> generation);

}  // namespace export_worker::plugins
