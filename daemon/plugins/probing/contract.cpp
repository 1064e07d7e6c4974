#include "daemon/plugins/probing/contract.hpp"

#include <algorithm>

namespace export_worker::plugins {
namespace {

const PluginMethod* find(const std::vector<PluginMethod>& methods, const std::string& name) {
    const auto found = std::ranges::find(methods, name, &PluginMethod::name);
    return found == methods.end() ? nullptr : &*found;
}

std::string first_difference(const std::vector<PluginMethod>& probed,
                             const std::vector<PluginMethod>& loaded) {
    for (const PluginMethod& method : probed) {
        const PluginMethod* const same = find(loaded, method.name);
        if (same == nullptr) return method.name + " is missing";
        if (same->idempotent != method.idempotent)
            return method.name + (same->idempotent ? " is" : " is not") + " idempotent";
    }
    for (const PluginMethod& method : loaded) {
        if (find(probed, method.name) == nullptr) return method.name + " is new";
    }
    return {};
}

}  // namespace

ContractDiff compare_contracts(const std::vector<PluginMethod>& active,
                               const std::vector<PluginMethod>& candidate) {
    ContractDiff out;
    for (const PluginMethod& method : active) {
        const PluginMethod* const same = find(candidate, method.name);
        if (same == nullptr) {
            out.removed.push_back(method.name);
        } else if (method.idempotent && !same->idempotent) {
            out.narrowed.push_back(method.name);
        }
    }
    for (const PluginMethod& method : candidate) {
        if (find(active, method.name) == nullptr) out.added.push_back(method.name);
    }
    return out;
}

Verdict<void> check_contract(const ContractDiff& diff, const std::set<std::string>& allowed) {
    for (const std::string& method : diff.removed) {
        if (allowed.contains(method)) continue;
        return refuse({"contract", "contract", "every method of the running generation",
                       method + " is missing", "if that is intended: --allow " + method});
    }
    for (const std::string& method : diff.narrowed) {
        if (allowed.contains(method)) continue;
        return refuse({"contract", "contract", "methods callers can still retry",
                       method + " is no longer idempotent",
                       "if that is intended: --allow " + method});
    }
    return {};
}

Verdict<void> check_same_methods(const std::vector<PluginMethod>& probed,
                                 const std::vector<PluginMethod>& loaded) {
    const std::string found = first_difference(probed, loaded);
    if (found.empty()) return {};
    return refuse({"describe_failed", "loading", "the methods that describe() named in the probe",
                   found, "let describe() answer the same every time, whatever args->reason was"});
}

}  // namespace export_worker::plugins
