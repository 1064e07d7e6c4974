#include "daemon/app/check_plugin.hpp"

#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>

#include "base/json.hpp"
#include "daemon/app/host_config.hpp"
#include "daemon/plugins/probing/golden.hpp"
#include "daemon/plugins/probing/limits.hpp"
#include "daemon/plugins/probing/probe.hpp"
#include "daemon/plugins/staging/artifact_store.hpp"

namespace export_worker::app {
namespace {

using nlohmann::json;
using plugins::refusal_of;
using plugins::Verdict;

// A directory of our own that goes away with everything in it.
class ScratchDirectory {
public:
    ScratchDirectory() {
        std::error_code error;
        const auto parent = std::filesystem::temp_directory_path(error);
        std::string name = (parent / "export-worker-check-XXXXXX").string();
        if (!error && ::mkdtemp(name.data()) != nullptr) path_ = name;
    }
    ScratchDirectory(const ScratchDirectory&) = delete;
    ScratchDirectory& operator=(const ScratchDirectory&) = delete;
    ~ScratchDirectory() {
        std::error_code ignored;
        if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
    }
    [[nodiscard]] const std::string& path() const { return path_; }

private:
    std::string path_;
};

struct CheckedPlugin {
    std::vector<std::pair<std::string, std::string>> steps;
    std::string name;
    std::string version;
    std::string sha256;
    std::vector<std::string> methods;
    std::vector<std::string> pinned_by;
};

// The configuration the candidate would get in the daemon.
Verdict<void> configure(const std::string& config_path, const std::string& file,
                        plugins::ProbeRequest& request) {
    const auto read = config::read_config(config_path);
    if (!read) return plugins::refuse(refusal_of("configuration", read.error()));
    auto credentials = credentials::CredentialStore::load(read->stores);
    if (!credentials) return plugins::refuse(refusal_of("configuration", credentials.error()));
    const plugins::HostConfig host = host_config_of(*read, std::move(*credentials), {});
    request.credentials = host.credentials;
    request.timeout = host.policy.probe_timeout;
    const auto setup =
        std::ranges::find(host.plugins, request.manifest.name, &plugins::PluginSetup::name);
    const bool configured = setup != host.plugins.end();
    if (configured) request.config = setup->settings;
    EW_TRY(request.golden,
           plugins::read_golden_file(configured ? setup->golden_file : std::string(), file,
                                     configured ? setup->file : std::string()));
    return {};
}

Verdict<void> examine(const std::string& file, const std::string& config_path,
                      CheckedPlugin& plugin) {
    const ScratchDirectory scratch;
    auto store = plugins::ArtifactStore::open(scratch.path());
    if (!store) return plugins::refuse(refusal_of("staging", store.error()));
    EW_TRY(const plugins::Artifact artifact, store->take_in(file));
    plugin.sha256 = artifact.sha256;
    plugin.steps.emplace_back("staging", "sha256 " + artifact.sha256);
    std::vector<std::string> allow_needed;
    plugins::AllowedImports allow_imports;
    if (!config_path.empty()) {
        const auto read = config::read_config(config_path);
        if (!read) return plugins::refuse(refusal_of("configuration", read.error()));
        allow_needed = read->reload.allow_needed;
        allow_imports = allowed_imports_of(*read);
    }
    EW_TRY(const plugins::Inspected inspected,
           plugins::inspect(artifact.bytes, allow_needed, allow_imports));
    const plugins::Manifest& manifest = inspected.manifest;
    plugin.name = manifest.name;
    plugin.version = manifest.version;
    plugin.steps.emplace_back("inspection", manifest.name + " " + manifest.version + ", ABI " +
                                                std::to_string(manifest.abi_major) + "." +
                                                std::to_string(manifest.abi_minor) + ", build-id " +
                                                manifest.build_id);
    plugins::ProbeRequest request;
    EW_TRY(request.file, store->make_live_copy(artifact));
    request.sha256 = artifact.sha256;
    request.manifest = manifest;
    request.create = !config_path.empty();
    request.timeout = limits::kProbeTimeout;
    if (request.create) EW_CHECK(configure(config_path, file, request));
    EW_TRY(const plugins::ProbeReport probed,
           plugins::probe("/proc/self/exe", request, system_clock()));
    for (const auto& method : probed.methods) plugin.methods.push_back(method.name);
    plugin.pinned_by = inspected.pinned_by;
    plugin.pinned_by.insert(plugin.pinned_by.end(), probed.pinned_by.begin(),
                            probed.pinned_by.end());
    plugin.steps.emplace_back(
        "probe", request.create
                     ? std::to_string(probed.golden_requests) + " golden requests, " +
                           std::to_string(probed.took_ms) + " ms"
                     : "loads; add --config FILE to try create, self_test and golden requests");
    return {};
}

void print(const CheckedPlugin& plugin, const Verdict<void>& verdict) {
    for (const auto& [step, what] : plugin.steps)
        std::printf("%-11s ok  %s\n", step.c_str(), what.c_str());
    if (!verdict) {
        std::printf("REFUSED: %s\n", plugins::to_text(verdict.error()).c_str());
        return;
    }
    std::string methods;
    for (const std::string& method : plugin.methods)
        methods += (methods.empty() ? "" : ", ") + method;
    if (!methods.empty()) std::printf("%-11s     %s\n", "answers", methods.c_str());
    for (const std::string& reason : plugin.pinned_by)
        std::printf("%-11s     stays mapped when it is replaced: %s\n", "unloading",
                    reason.c_str());
    if (plugin.pinned_by.empty()) std::printf("%-11s     can be unmapped\n", "unloading");
    std::printf("ACCEPTED\n");
}

void print_json(const CheckedPlugin& plugin, const Verdict<void>& verdict) {
    json out = {{"accepted", verdict.has_value()}, {"name", plugin.name},
                {"version", plugin.version},       {"sha256", plugin.sha256},
                {"methods", plugin.methods},       {"pinned_by", plugin.pinned_by}};
    if (!verdict) {
        const plugins::Refusal& refusal = verdict.error();
        out["refusal"] = {{"code", refusal.code},
                          {"stage", refusal.stage},
                          {"expected", refusal.expected},
                          {"found", refusal.found},
                          {"hint", refusal.hint}};
    }
    std::printf("%s\n", dump_json(out).c_str());
}

}  // namespace

int check_plugin(const std::string& file, const std::string& config_path, bool as_json) {
    signal(SIGPIPE, SIG_IGN);  // A candidate that dies early must not take this process along.
    CheckedPlugin plugin;
    std::error_code error;
    const auto path = std::filesystem::absolute(file, error).lexically_normal();
    if (error) {
        std::fprintf(stderr, "export-workerd: --check-plugin: the path of '%s': %s\n", file.c_str(),
                     error.message().c_str());
        return 1;
    }
    const auto verdict = examine(path.string(), config_path, plugin);
    if (as_json) {
        print_json(plugin, verdict);
    } else {
        print(plugin, verdict);
    }
    return verdict ? 0 : 1;
}

}  // namespace export_worker::app
