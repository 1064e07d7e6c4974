// All plugins of the daemon, and which generation answers which method.
//
// Routing is an immutable snapshot behind one atomic pointer: a worker reads it once per request
// and never waits for a load. Snapshots and generations live until the host is destroyed; there are
// at most kPluginGenerationsMax.
#pragma once

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "base/result.hpp"
#include "daemon/plugin_host/generation.hpp"

namespace export_worker::plugin_host {

// One line of `exportctl plugin list`.
struct PluginStatus {
    std::string name;
    std::string version;
    std::uint64_t generation = 0;
    std::string build_id;
    std::string sha256;
    std::string file;  // Where the operator keeps it.
    std::vector<PluginMethod> methods;
    std::uint64_t handled = 0;
    std::uint64_t faults = 0;
    std::vector<CounterValue> counters;
};

class PluginHost {
public:
    // `staging_directory` is private to this process; what lies there is deleted.
    [[nodiscard]] static Result<std::unique_ptr<PluginHost>> open(
        const std::string& staging_directory, const HostParts& parts);

    // Stages, inspects, loads and publishes. `name` empty: whatever the file says it is. Errors:
    // kFailedPrecondition with the reason, kConflict when a plugin of that name, or one of its
    // methods, is already there. One at a time.
    [[nodiscard]] Result<PluginStatus> load(const std::string& name, const std::string& file,
                                            const std::map<std::string, std::string>& config);

    // The generation that answers `method`; nullptr when none does. Valid as long as the host.
    // [any-thread]
    [[nodiscard]] Generation* find(std::string_view method) const;
    [[nodiscard]] std::vector<PluginStatus> list() const;

private:
    struct TextHash {
        using is_transparent = void;
        std::size_t operator()(std::string_view text) const {
            return std::hash<std::string_view>()(text);
        }
    };
    using Routes = std::unordered_map<std::string, Generation*, TextHash, std::equal_to<>>;
    struct Loaded {
        std::unique_ptr<Generation> generation;
        std::string file;
    };

    PluginHost(std::string staging_directory, const HostParts& parts);
    [[nodiscard]] static PluginStatus status_of(const Loaded& loaded);

    const std::string staging_directory_;
    const HostParts parts_;
    mutable std::mutex load_mutex_;  // One load at a time.
    std::vector<Loaded> loaded_;     // Guarded by load_mutex_.
    std::vector<std::unique_ptr<const Routes>>
        snapshots_;  // Guarded by load_mutex_; the last one is current.
    std::atomic<const Routes*> routes_{nullptr};
};

}  // namespace export_worker::plugin_host
