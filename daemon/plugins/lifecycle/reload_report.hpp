// What an operator asks of the plugin host, and the account that comes back.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/plugins/lifecycle/slot.hpp"
#include "daemon/plugins/probing/contract.hpp"
#include "daemon/plugins/refusal.hpp"

namespace export_worker::plugins {

enum class Action { kStart, kLoad, kReload, kRollback, kCommit, kUnpin };

struct ReloadRequest {
    Action action = Action::kReload;
    std::string trigger = "operator";  // "start", "operator", "SIGHUP", "watch"
    std::string plugin;                // Empty for kLoad: whatever the file says.
    std::string file;                  // Empty: the configured one.
    // Where the bytes are that an operator sent; `file` is the path they had there. They are
    // deleted once they are taken in. Empty: `file` itself is read.
    std::string sent_path;
    std::optional<std::string> sent_golden;  // The golden requests beside it.
    std::string to_sha256;  // kRollback: a prefix of a committed hash; empty: the last.
    bool dry_run = false;   // Everything up to publishing, and no further.
    bool bake = true;
    bool lift_quarantine = false;
    std::map<std::string, std::string> settings;     // kLoad only; others have configured ones.
    std::set<std::string> allowed_contract_changes;  // Method names.
    // kRollback: the generation to leave if it baked at submit(), else 0. Set by submit().
    std::uint64_t baking_generation = 0;

    [[nodiscard]] Origin origin() const {
        if (trigger == "operator") return Origin::kOperator;
        return trigger == "start" ? Origin::kStart : Origin::kAutomatic;
    }
    // Plugin code may be loaded.
    [[nodiscard]] bool loads() const {
        return action == Action::kStart || action == Action::kLoad || action == Action::kReload;
    }
    bool operator==(const ReloadRequest&) const = default;
};

// The ledger over the time in which requests were in both generations.
struct SwapWindow {
    model::LedgerCounts before;  // When the new routes were published.
    // When the last request had left the old generation, or those in it were stuck.
    model::LedgerCounts after;
    SteadyTime opened;
    std::chrono::microseconds took{0};
    std::size_t stuck = 0;  // Requests that were in the old generation when it closed.
    bool closed = false;
};

struct ReloadStep {
    std::string name;
    std::string detail;
    std::int64_t took_us = 0;
};

struct ReloadReport {
    std::uint64_t id = 0;
    ReloadRequest request;
    std::int64_t started_us = 0;
    // "running"; "refused", "unchanged", "would_publish", "committed", "rolled_back" are ends;
    // "baking" becomes one of the last two.
    std::string outcome = "running";
    std::string plugin;
    std::string file;
    std::string sha256;
    std::string version;
    std::string build_id;
    std::uint64_t generation = 0;  // 0: never published.
    // What served when the action began; 0 and empty: nothing.
    std::uint64_t from_generation = 0;
    std::string from_sha256;
    std::string from_version;
    bool committed_serves = false;  // Of a start, while it still tries the configured file.
    std::vector<ReloadStep> steps;
    std::optional<Refusal> refusal;
    std::optional<std::string> rolled_back_because;
    std::vector<std::string> pinned_by;  // The unload certificate; empty: clean.
    ContractDiff contract;
    std::optional<SwapWindow> window;

    [[nodiscard]] bool ended() const { return outcome != "running" && outcome != "baking"; }
};

}  // namespace export_worker::plugins
