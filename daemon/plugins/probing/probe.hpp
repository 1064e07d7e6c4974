// Trying a candidate in a child process before it may touch this one.
//
// The child is this same program in probe mode (--probe-plugin), with limits and a time-out. It
// loads the private copy, creates the plugin with the real configuration and credentials, asks what
// it answers, runs its self test and the golden requests, takes it down, unmaps it, and looks at
// what it left behind. A crash or a hang costs the child.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/plugins/refusal.hpp"
#include "daemon/plugins/running/generation.hpp"

namespace export_worker::plugins {

struct ProbeRequest {
    std::string file;  // A live copy.
    std::string sha256;
    Manifest manifest;
    std::map<std::string, std::string> config;
    std::shared_ptr<const credentials::CredentialStore> credentials;
    std::string golden;  // Text of the golden requests (docs/plugin_abi.md), or empty.
    bool create = true;  // false: only load and check the descriptor.
    std::chrono::milliseconds timeout{10'000};
};

struct ProbeReport {
    std::vector<PluginMethod> methods;
    // The unload certificate: why the image stays mapped; empty: it was really gone.
    std::vector<std::string> pinned_by;
    std::uint64_t golden_requests = 0;
    std::int64_t bytes_kept_per_request = 0;
    std::int64_t peak_memory_kib = 0;
    std::int64_t took_ms = 0;
};

// `cancelled` may become true at any time, on any thread: the probe ends soon after (refusal code
// "cancelled"). nullptr: never. `program` is the export-workerd to run ("/proc/self/exe" for
// oneself). Refused: probe_crash, probe_timeout (both say at which step), probe_failed, and
// whatever a load in this process would refuse. [loader-thread]; blocks until the child has ended,
// at most `timeout` of `clock` and kProbeEndTimeout; then every process that the candidate started
// is killed, detached ones too.
[[nodiscard]] Verdict<ProbeReport> probe(const std::string& program, const ProbeRequest& request,
                                         const Clock& clock,
                                         const std::atomic<bool>* cancelled = nullptr);

// What the child does: reads the request from stdin, reports on descriptor 3. Returns the exit
// status, if at all (probe_keeper.hpp).
[[nodiscard]] int run_probe_child();

}  // namespace export_worker::plugins
