// Watches what bakes: a bake ends with a commit, or with the generation before it in its place.
#pragma once

#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/report_book.hpp"
#include "daemon/plugins/lifecycle/roster.hpp"
#include "daemon/plugins/lifecycle/transitions.hpp"

namespace export_worker::plugins {

// [supervisor-thread]
class BakeWatch {
public:
    // All outlive it.
    BakeWatch(Roster& roster, Transitions& transitions, ReportBook& reports, const Clock& clock)
        : roster_(roster), transitions_(transitions), reports_(reports), clock_(clock) {}

    // Looks at each generation that bakes, by bake.hpp. Call every moment, and at each fault.
    void look(const Policy& policy);

private:
    void look_at(const std::string& plugin, const PluginEntry& entry, const Policy& policy);
    void commit(const std::string& plugin, const PluginEntry& entry);
    void take_back(const std::string& plugin, const PluginEntry& entry, const std::string& why);

    Roster& roster_;
    Transitions& transitions_;
    ReportBook& reports_;
    const Clock& clock_;
};

}  // namespace export_worker::plugins
