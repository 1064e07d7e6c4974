// One load from the request to what serves: which file is loaded, and for what.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <variant>
#include <vector>

#include "daemon/model/ledger.hpp"
#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/report_book.hpp"
#include "daemon/plugins/lifecycle/roster.hpp"
#include "daemon/plugins/lifecycle/stages.hpp"
#include "daemon/plugins/lifecycle/transitions.hpp"

namespace export_worker::plugins {

// A start tries the committed files before the configured one: what was decided on serves, the
// new file bakes.
struct StartPlan {
    std::vector<std::string> committed;  // Still to be tried, the newest first.
    bool takes_configured = false;       // That is what is being loaded now.
    std::string refused_sha256;
    std::optional<Refusal> refused_because;
};

struct Load {
    std::uint64_t report = 0;
    ReloadRequest request;
    LoadOrder order;
    std::optional<StartPlan> start;
    std::string act;  // For FileLoaded.
    bool bake = false;
};

// What a request comes to: a load, whose result says more, or its outcome (ReloadReport::outcome).
using Next = Verdict<std::variant<Load, std::string>>;

// What requests are carried out on. All outlive it. [supervisor-thread]
struct LifecycleDeps {
    Roster& roster;
    Transitions& transitions;
    ReportBook& reports;
    History& history;
    const ArtifactStore& artifacts;
    const Clock& clock;
    const model::Ledger* ledger;           // nullptr: reports have no window.
    const std::set<std::string>& died_in;  // As LastEnd has it.
};

// What the loader needs to know of `request`; the caller adds which file.
[[nodiscard]] LoadOrder order_for(const ReloadRequest& request, const HostConfig& config,
                                  const RosterState& roster);
// What all plugins answer, by method.
[[nodiscard]] std::map<std::string, std::string> methods_of(const RosterState& roster);
// nullptr: it is not configured.
[[nodiscard]] const PluginSetup* find_setup(const HostConfig& config, const std::string& plugin);

// The generation that a report is about, and the one that serves before it.
void set_generation(ReloadReport& report, const Generation& generation);
void set_serving(ReloadReport& report, const RosterState& roster);

}  // namespace export_worker::plugins
