// One loaded image of one plugin, with its instance.
//
// The image stays mapped until the process ends, whatever happens to the instance: unmapping code
// is where reloads crash, and a parked image costs little (docs/plugin_abi.md, "Why images stay").
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/plugin_host/host_services.hpp"
#include "daemon/plugin_host/inspection.hpp"
#include "daemon/plugin_host/plugin_call.hpp"
#include "daemon/plugin_host/staging.hpp"
#include "protocol/message/request.hpp"
#include "protocol/plugin_abi/plugin.h"

namespace export_worker::plugin_host {

struct PluginMethod {
    std::string name;
    std::string summary;
    bool idempotent = false;
};

class Generation {
public:
    struct Setup {
        StagedFile file;
        Manifest manifest;
        std::uint64_t number = 0;
        std::map<std::string, std::string> config;
        HostParts parts;
        std::uint32_t reason = EW_CREATE_START;
    };

    // Maps the staged file, compares the mapped image with it, checks the descriptor, creates,
    // describes, self-tests. Errors: kFailedPrecondition with stage, expected, found, what to do.
    // [loader-thread]
    [[nodiscard]] static Result<std::unique_ptr<Generation>> load(Setup setup);
    // Only maps and checks: for `exportctl plugin check` without a configuration.
    [[nodiscard]] static Result<std::unique_ptr<Generation>> load_without_instance(Setup setup);
    ~Generation();  // quiesce, destroy. No handle() may be running.
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;

    // Runs one request; exactly one outcome is in `call.writer` afterwards: a result, or has_error
    // with an error. An exception or a broken contract becomes plugin_fault. [worker-thread],
    // reentrant
    void handle(const message::Request& request, std::int64_t deadline_steady_ns, PluginCall& call);

    [[nodiscard]] const Manifest& manifest() const { return manifest_; }
    [[nodiscard]] const std::string& sha256() const { return sha256_; }
    [[nodiscard]] std::uint64_t number() const { return number_; }
    [[nodiscard]] const std::vector<PluginMethod>& methods() const { return methods_; }
    [[nodiscard]] std::uint64_t handled() const { return handled_.load(std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t faults() const { return faults_.load(std::memory_order_relaxed); }
    [[nodiscard]] const HostServices& services() const { return services_; }

private:
    explicit Generation(Setup& setup);
    [[nodiscard]] Result<void> map(const std::string& path);
    [[nodiscard]] Result<void> check_descriptor();
    [[nodiscard]] Result<void> create(const Setup& setup);
    [[nodiscard]] Result<void> describe();
    [[nodiscard]] Result<void> self_test();
    void fault(PluginCall& call, std::string_view what);

    const Manifest manifest_;
    const std::string sha256_;
    const std::uint64_t number_;
    HostServices services_;
    const ew_plugin* plugin_ = nullptr;
    void* image_ = nullptr;  // dlopen's handle; never closed.
    void* instance_ = nullptr;
    bool created_ = false;
    std::vector<PluginMethod> methods_;
    std::atomic<std::uint64_t> handled_{0};
    std::atomic<std::uint64_t> faults_{0};
};

}  // namespace export_worker::plugin_host
