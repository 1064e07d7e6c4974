// What callers may rely on: the methods of the running generation, against those of a candidate.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "daemon/plugins/running/generation.hpp"

namespace export_worker::plugins {

struct ContractDiff {
    std::vector<std::string> added;
    std::vector<std::string> removed;
    std::vector<std::string> narrowed;  // No longer idempotent: callers may not retry any more.
};

[[nodiscard]] ContractDiff compare_contracts(const std::vector<PluginMethod>& active,
                                             const std::vector<PluginMethod>& candidate);

// Refused: something removed or narrowed that `allowed` does not name.
[[nodiscard]] Verdict<void> check_contract(const ContractDiff& diff,
                                           const std::set<std::string>& allowed);

// Refused (describe_failed): describe() of the loaded plugin named other methods, or promised
// otherwise about one, than the probe was told: a plugin that knows that it is probed.
[[nodiscard]] Verdict<void> check_same_methods(const std::vector<PluginMethod>& probed,
                                               const std::vector<PluginMethod>& loaded);

}  // namespace export_worker::plugins
