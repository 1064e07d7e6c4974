// One loaded image of one plugin, with its instance.
//
// Unless it is retired with a clean unload certificate, the image stays mapped until the process
// ends: unmapping code is where reloads crash, and a parked image costs little
// (docs/plugin_abi.md, "Why images stay").
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/plugins/inspection/inspection.hpp"
#include "daemon/plugins/refusal.hpp"
#include "daemon/plugins/running/host_services.hpp"
#include "daemon/plugins/running/plugin_call.hpp"
#include "daemon/plugins/running/shadow.hpp"
#include "daemon/plugins/running/traffic_stats.hpp"
#include "protocol/message/request.hpp"
#include "protocol/plugin_abi/plugin.h"

namespace export_worker::plugins {

struct PluginMethod {
    std::string name;
    std::string summary;
    bool idempotent = false;
};

class Generation {
public:
    struct Setup {
        std::string path;  // A live copy; see ArtifactStore.
        std::string sha256;
        Manifest manifest;
        std::uint64_t number = 0;
        std::map<std::string, std::string> config;
        HostDeps deps;
        std::uint32_t reason = EW_CREATE_START;
        std::function<void()> on_fault;  // [worker-thread]; may be empty.
        bool unmap_if_refused = false;   // load(): see its certificate.
        std::uint64_t shadow_requests = 0;
    };

    // The steps of a load, in this order; the first that fails ends it. [loader-thread]
    // Maps the file, compares the mapped image with it, checks the descriptor.
    [[nodiscard]] static Verdict<std::unique_ptr<Generation>> map(Setup setup);
    [[nodiscard]] Verdict<void> create();
    [[nodiscard]] Verdict<void> describe();
    [[nodiscard]] Verdict<void> self_test();
    // All of them. A plugin that refuses after it was mapped is ended again, and unmapped if Setup
    // says so.
    [[nodiscard]] static Verdict<std::unique_ptr<Generation>> load(Setup setup);

    ~Generation();  // end_instance(); the image stays mapped.
    Generation(const Generation&) = delete;
    Generation& operator=(const Generation&) = delete;

    // quiesce, destroy. No handle() may be running. [loader-thread]
    void end_instance();
    // After end_instance(): unmaps the image; false when it is still there, whatever the loader
    // said. [loader-thread]
    bool unmap();
    // [any-thread]
    [[nodiscard]] bool is_mapped() const { return is_file_mapped(path_); }
    [[nodiscard]] static bool is_file_mapped(const std::string& path);

    // Runs one request; exactly one outcome is in `call.writer` afterwards: a result, or has_error
    // with an error. An exception or a broken contract becomes plugin_fault. `thread_number` tells
    // threads apart for counting. `started` is now, by the clock of HostDeps; returns the time at
    // the end, so that a caller need not read the clock again. [worker-thread], reentrant
    SteadyTime handle(const message::Request& request, SteadyTime started,
                      std::int64_t deadline_steady_ns, std::size_t thread_number, PluginCall& call);

    [[nodiscard]] const Manifest& manifest() const { return manifest_; }
    [[nodiscard]] const std::string& sha256() const { return sha256_; }
    [[nodiscard]] const std::string& path() const { return path_; }
    [[nodiscard]] std::uint64_t number() const { return number_; }
    [[nodiscard]] const std::vector<PluginMethod>& methods() const { return methods_; }
    [[nodiscard]] TrafficStats traffic() const { return traffic_.read(); }
    [[nodiscard]] std::uint64_t handled() const { return traffic_.handled(); }
    [[nodiscard]] std::uint64_t faults() const { return faults_.load(std::memory_order_relaxed); }
    [[nodiscard]] const HostServices& services() const { return services_; }
    [[nodiscard]] Shadow& shadow() { return shadow_; }
    [[nodiscard]] const Shadow& shadow() const { return shadow_; }

private:
    explicit Generation(Setup& setup);
    [[nodiscard]] Verdict<void> map_image();
    [[nodiscard]] Verdict<void> check_descriptor();
    [[nodiscard]] Verdict<void> begin_instance();
    void run(const message::Request& request, std::int64_t deadline_steady_ns, PluginCall& call);
    void fault(PluginCall& call, std::string_view what);

    const Manifest manifest_;
    const std::string sha256_;
    const std::string path_;
    const std::string crash_line_;  // For InPlugin.
    const std::uint64_t number_;
    const std::map<std::string, std::string> config_;
    const std::uint32_t reason_;
    const std::function<void()> on_fault_;
    HostServices services_;
    const ew_plugin* plugin_ = nullptr;
    void* image_ = nullptr;  // dlopen's handle.
    void* instance_ = nullptr;
    bool created_ = false;
    std::vector<PluginMethod> methods_;
    TrafficCounters traffic_;
    std::atomic<std::uint64_t> faults_{0};
    Shadow shadow_;
};

}  // namespace export_worker::plugins
