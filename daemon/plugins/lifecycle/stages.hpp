// What a candidate goes through before it may serve, stage by stage: staged -> inspected -> probed
// -> compared -> loaded. Each stage is a function of what the one before it found.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/lifecycle/marked_calls.hpp"
#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/reload_report.hpp"
#include "daemon/plugins/probing/probe.hpp"
#include "daemon/plugins/running/generation.hpp"
#include "daemon/plugins/staging/artifact_store.hpp"

namespace export_worker::plugins {

// A generation with what it was made from.
struct Loaded {
    std::unique_ptr<Generation> generation;
    std::string file;
    std::map<std::string, std::string> settings;
    std::shared_ptr<const credentials::CredentialStore> credentials;
    std::vector<std::string> pinned_by;  // Why its image stays mapped; empty: it need not.
    std::size_t file_bytes = 0;
};

// Of the generation that serves, as far as a candidate is compared with it.
struct Serving {
    std::uint64_t number = 0;
    std::string sha256;
    std::map<std::string, std::string> settings;
    std::shared_ptr<const credentials::CredentialStore> credentials;
    std::vector<PluginMethod> methods;
};

// Everything a load needs to know, taken together at one moment.
struct LoadOrder {
    std::string plugin;     // Empty: whatever the file says.
    std::string file;       // To take in; empty: `kept_sha256` is loaded.
    std::string sent_path;  // As in ReloadRequest, like the next.
    std::optional<std::string> sent_golden;
    std::string kept_sha256;      // An artifact.
    std::string configured_file;  // Empty: the plugin is not configured.
    std::string golden_file;
    std::map<std::string, std::string> settings;
    std::shared_ptr<const credentials::CredentialStore> credentials;
    Policy policy;
    Origin origin = Origin::kOperator;
    PluginRecord kept;  // Says what `origin` means by the configured file.
    std::optional<Serving> serving;
    std::map<std::string, std::string> methods;  // What all plugins answer, by method.
    std::size_t images = 0;  // Of this plugin in memory, with the bytes of their files.
    std::size_t image_bytes = 0;
    std::uint64_t number = 0;  // Of the generation.
    std::uint64_t shadow_requests = 0;
    std::uint32_t reason = EW_CREATE_RELOAD;
    bool is_new = false;  // Refused if a plugin of that name serves.
    bool dry_run = false;
    bool lift_quarantine = false;
    bool checks_contract = true;
    std::set<std::string> allowed_contract_changes;
    // A file that was refused a moment ago need not be tried again.
    std::string refused_sha256;
    std::optional<Refusal> refused_because;
    std::function<void()> on_fault;  // As Generation::Setup.
};

struct LoadResult {
    std::string plugin;
    std::string sha256;
    std::string configured_sha256;  // What the configured file holds; empty: unknown.
    // Nothing: it is what serves already (`unchanged`), or a dry run ends here.
    std::optional<Loaded> loaded;
    bool unchanged = false;
};

// How stages tell of what they found, for operators that look on.
using Progress = std::function<void(const std::function<void(ReloadReport&)>& change)>;

// What stages use. All outlive them.
struct StageDeps {
    ArtifactStore& artifacts;
    History& history;
    MarkedCalls& calls;
    const HostDeps& host;
    const std::string& probe_program;
    const std::atomic<bool>& stopping;
};

struct LoadFailure {
    Refusal refusal;
    std::string plugin;  // As far as it is known.
    std::string sha256;
    bool may_be_mapped = false;  // Part of it may have stayed in memory.
};

// All stages. [loader-thread]; blocks as long as the probe and the load may take.
[[nodiscard]] tl::expected<LoadResult, LoadFailure> run_stages(const LoadOrder& order,
                                                               const StageDeps& deps,
                                                               const Progress& progress);

}  // namespace export_worker::plugins
