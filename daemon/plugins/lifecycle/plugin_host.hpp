// All plugins of the daemon: which generation answers which method, and how one follows another.
//
// Two threads. The supervisor takes requests, publishes, watches bakes and retires generations, and
// never waits for plugin code; the loader takes candidates through their stages (stages.hpp) and
// ends old generations. Workers only pin. What happens goes one way:
//
//   requests -> report_book -> start | reload | operators -> load -> loader (stages)
//            -> transitions (slot.hpp) -> roster (routes) -> bake_watch, retirement -> status
//
// A crash leaves live copies (deleted at the next start), artifacts and plugins.db; what they mean
// is in history.hpp.
#pragma once

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/wake_event.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/plugins/lifecycle/bake_watch.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/lifecycle/last_end.hpp"
#include "daemon/plugins/lifecycle/load.hpp"
#include "daemon/plugins/lifecycle/loader.hpp"
#include "daemon/plugins/lifecycle/mailbox.hpp"
#include "daemon/plugins/lifecycle/marked_calls.hpp"
#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/reload_report.hpp"
#include "daemon/plugins/lifecycle/report_book.hpp"
#include "daemon/plugins/lifecycle/retirement.hpp"
#include "daemon/plugins/lifecycle/roster.hpp"
#include "daemon/plugins/lifecycle/status.hpp"
#include "daemon/plugins/lifecycle/transitions.hpp"
#include "daemon/plugins/lifecycle/watch.hpp"
#include "daemon/plugins/routing/routing.hpp"
#include "daemon/plugins/running/crash_record.hpp"
#include "daemon/plugins/staging/artifact_store.hpp"

namespace export_worker::plugins {

struct HostOptions {
    std::string state_directory;                   // plugins/ and plugins.db are made in it.
    std::string probe_program = "/proc/self/exe";  // An export-workerd.
    HostDeps deps;                          // Its credentials are replaced by the configuration's.
    const model::Ledger* ledger = nullptr;  // Outlives the host; nullptr: reports have no window.
    sqlite::Durability durability = sqlite::Durability::kSynced;  // Of plugins.db.
};

class PluginHost {
public:
    // Starts its threads. What an earlier process left in the staging directory is cleared.
    [[nodiscard]] static Result<std::unique_ptr<PluginHost>> open(const HostOptions& options);
    ~PluginHost();  // stop(); code that hangs stays in memory, with its thread.
    // Ends its threads and all instances; no request may be in one. A bake that goes on is
    // forgotten: the next start looks at the configured file anew. Takes at most
    // kPluginStopTimeout and a little. Returns how many calls into plugins do not return. When that
    // is not 0, they go on to use HostOptions::deps: the caller must end the process without
    // destroying those. May be called again. [one-owner]
    unsigned stop();
    // Instead of stop(), where a request is in a plugin that does not return: this process ends in
    // good order all the same, so the next one looks for no crash. [any-thread]
    void record_stop();
    PluginHost(const PluginHost&) = delete;
    PluginHost& operator=(const PluginHost&) = delete;

    // Loads every configured plugin, each as history says (history.hpp): first all that was
    // committed, then the configured files, for which it waits at most kPluginStartPatience if
    // something committed serves. A plugin that the daemon itself has quarantined, or that does not
    // return from its load within probe_timeout, with no committed file to go back to, is left out:
    // an alarm names it and its methods. Errors: the first that cannot be loaded for another
    // reason; kCancelled within 100 ms after `is_cancelled` has become true.
    [[nodiscard]] Result<void> start(
        const HostConfig& config, const std::function<bool()>& is_cancelled = [] { return false; });
    // One plugin that is not in the configuration, at once. Errors as start().
    [[nodiscard]] Result<PluginStatus> load(const std::string& name, const std::string& file,
                                            const std::map<std::string, std::string>& settings);
    // Takes over what was configured and reloads every plugin that this changes; those that are new
    // are loaded. A pinned plugin keeps its file until the configured one changes. The reload of a
    // plugin that bakes waits for the end of the bake; a rollback or commit by an operator cancels
    // it (refusal code "superseded"). Returns at once.
    void reconfigure(const HostConfig& config, const std::string& trigger);

    // Queues one action of an operator and returns the number of its report. It goes before what
    // comes by itself, and what ends a bake before everything. kConflict ("busy", and with whom):
    // an operator's action on this plugin waits or runs, or a reload while it bakes; kNotFound: no
    // such plugin. [any-thread]
    [[nodiscard]] Result<std::uint64_t> submit(ReloadRequest request);
    // nullopt: never heard of it, or too long ago. [any-thread]
    [[nodiscard]] std::optional<ReloadReport> report(std::uint64_t id) const;
    [[nodiscard]] std::vector<PluginStatus> list() const;
    // What is answered now: each method with its plugin's name. [any-thread]
    [[nodiscard]] std::map<std::string, std::string> methods() const;
    // The plugin that answers `method` and does not run: its start was refused, and no reload has
    // loaded it since. With an empty `method`: one whose methods are unknown, because it never
    // passed a probe. nullopt: there is none. [any-thread]
    [[nodiscard]] std::optional<std::string> left_out(std::string_view method) const;
    // It is configured, or has been loaded. [any-thread]
    [[nodiscard]] bool knows(const std::string& plugin) const;
    // What needs an operator. [any-thread]
    [[nodiscard]] std::vector<model::Alarm> alarms() const;
    [[nodiscard]] History& history() { return *history_; }
    // Numbers of reports by outcome and refusal code, since the start. [any-thread]
    [[nodiscard]] std::map<std::string, std::uint64_t> reload_counts() const;

    // For threads that run methods. [any-thread]
    [[nodiscard]] RoutingTable& routing() { return roster_.routing(); }

private:
    using LoadEnd = tl::expected<LoadResult, LoadFailure>;

    PluginHost(const HostOptions& options, ArtifactStore artifacts,
               std::unique_ptr<History> history, LastEnd last_end,
               std::unique_ptr<CrashRecorder> crash_recorder);
    void configure(const HostConfig& config);
    // One that is not changed any more.
    [[nodiscard]] std::shared_ptr<const HostConfig> config() const;
    [[nodiscard]] std::uint64_t enqueue(const ReloadRequest& request);

    // [supervisor-thread]
    void run_supervisor();
    [[nodiscard]] std::chrono::milliseconds poll_timeout() const;
    void tick();
    void follow_config(const HostConfig& config);
    void close_windows(std::chrono::milliseconds drain);
    void take_loads();
    void begin_work();
    [[nodiscard]] bool may_begin(const ReloadRequest& request) const;
    [[nodiscard]] Next begin(ReloadReport report);
    void proceed(std::uint64_t report, Next next);
    void post_or_put_off(Load load);
    void post(Load load);
    void forget_old_artifacts();

    const HostOptions options_;
    ArtifactStore artifacts_;  // The loader changes it, while a load is under way.
    const std::unique_ptr<History> history_;
    const std::set<std::string> died_in_;  // As LastEnd has it, like the next.
    const std::string history_lost_;
    const std::unique_ptr<CrashRecorder> crash_recorder_;
    WakeEvent wake_;  // The supervisor's.
    Roster roster_;
    ReportBook reports_;
    std::atomic<bool> stopping_{false};
    std::atomic<bool> config_changed_{true};  // The supervisor has not seen it yet.
    mutable std::mutex config_mutex_;
    // Guarded by config_mutex_. Shared with those who have begun with the one before.
    std::shared_ptr<const HostConfig> config_;

    // Supervisor.
    Transitions transitions_;
    BakeWatch bake_watch_;
    Watch watch_;
    std::optional<Load> loading_;  // The one load that is under way.
    std::deque<Load> put_off_;     // Starts whose configured file is tried later.
    const LifecycleDeps deps_;

    MarkedCalls calls_;  // Loader.
    Mailbox<LoadEnd> loads_;
    Loader loader_;
    Retirement retirement_;
    std::thread supervisor_;  // Last: it uses everything above.
};

}  // namespace export_worker::plugins
