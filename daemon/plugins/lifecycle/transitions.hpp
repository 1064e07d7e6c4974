// Carries out what slot.hpp says of an event: plugins.db is written, routes are published.
#pragma once

#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/lifecycle/roster.hpp"
#include "daemon/plugins/lifecycle/slot.hpp"

namespace export_worker::plugins {

// [supervisor-thread]
class Transitions {
public:
    // All outlive it.
    Transitions(Roster& roster, History& history, const Clock& clock)
        : roster_(roster), history_(history), clock_(clock) {}

    // `loaded`: what a FileLoaded is about. Errors: of plugins.db before anything has changed;
    // later ones are logged, and written again by write_again().
    [[nodiscard]] Result<void> change(const std::string& plugin, const SlotEvent& event,
                                      std::optional<Loaded> loaded = {});
    // Once a second, for what has taken effect and could not be written.
    void write_again();

private:
    [[nodiscard]] Result<void> carry_out(const std::string& plugin, const SlotEffect& effect,
                                         const SlotState& next, std::optional<Loaded>& loaded);
    void write_again(const std::string& plugin, const PluginEntry& entry);

    Roster& roster_;
    History& history_;
    const Clock& clock_;
};

}  // namespace export_worker::plugins
