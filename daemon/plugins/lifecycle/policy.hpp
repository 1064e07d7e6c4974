// What the configuration says about plugins.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/credentials/credential_store.hpp"
#include "daemon/plugins/inspection/inspection.hpp"
#include "daemon/plugins/lifecycle/bake.hpp"

namespace export_worker::plugins {

// How reloads are done ([plugins] in the configuration).
struct Policy {
    std::chrono::milliseconds bake{60'000};  // Zero: commit at once.
    BakeBounds bounds;
    std::uint64_t bake_requests_min = 0;      // A bake does not end by itself before so many.
    std::uint64_t bake_shadow = 0;            // Requests that the generation before answers, too.
    std::chrono::milliseconds drain{30'000};  // Longer: the generation is stuck, and parked.
    std::chrono::milliseconds probe_timeout{10'000};
    bool unmap = false;                // Retired images with a clean certificate are unmapped.
    std::size_t generations_max = 16;  // Mapped images of one plugin.
    std::vector<std::string> allow_needed;
    AllowedImports allow_imports;
    bool watch = false;  // Reload when a configured file changes.
};

// One [plugin.NAME].
struct PluginSetup {
    std::string name;
    std::string file;
    std::string golden_file;  // Empty: FILE with .golden.jsonl for .so, if it is there.
    std::map<std::string, std::string> settings;
};

struct HostConfig {
    std::vector<PluginSetup> plugins;
    std::shared_ptr<const credentials::CredentialStore> credentials;
    Policy policy;
};

}  // namespace export_worker::plugins
