// All plugins of the daemon: which generation answers which method, and how one follows another.
//
// Three things are kept apart. slot.hpp says what becomes of a plugin; one thread, the supervisor,
// carries that out, watches bakes and retires generations, and never waits for plugin code; another
// one, the loader, takes candidates through their stages (stages.hpp) and ends old generations.
// Workers only pin. While a new generation bakes, the one before stays warm, answers what the new
// one faults on (idempotent methods only), and comes back by itself when the new one does worse.
//
// A crash leaves live copies (deleted at the next start), artefacts and plugins.db; what they mean
// is in history.hpp.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/wake_event.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/lifecycle/last_end.hpp"
#include "daemon/plugins/lifecycle/loader.hpp"
#include "daemon/plugins/lifecycle/policy.hpp"
#include "daemon/plugins/lifecycle/reload_queue.hpp"
#include "daemon/plugins/lifecycle/reload_report.hpp"
#include "daemon/plugins/lifecycle/slot.hpp"
#include "daemon/plugins/lifecycle/stages.hpp"
#include "daemon/plugins/lifecycle/status.hpp"
#include "daemon/plugins/lifecycle/watch.hpp"
#include "daemon/plugins/routing/routing.hpp"
#include "daemon/plugins/running/crash_record.hpp"
#include "daemon/plugins/staging/artefact_store.hpp"

namespace export_worker::plugins {

struct HostOptions {
    std::string state_directory;                   // plugins/ and plugins.db are made in it.
    std::string probe_program = "/proc/self/exe";  // An export-workerd.
    HostParts parts;                        // Its credentials are replaced by the configuration's.
    const model::Ledger* ledger = nullptr;  // Outlives the host; nullptr: reports have no window.
    sqlite::Durability durability = sqlite::Durability::kSynced;  // Of plugins.db.
};

// A start tries the committed files before the configured one: what was decided on serves, the
// new file bakes.
struct StartPlan {
    std::vector<std::string> committed;  // Still to be tried, the newest first.
    bool takes_configured = false;       // That is what is being loaded now.
    std::string refused_sha256;
    std::optional<Refusal> refused_because;
};
// The one load that is under way.
struct Loading {
    ReloadReport* report = nullptr;
    std::optional<StartPlan> start;
    std::string act;  // For FileLoaded.
    bool bake = false;
    SteadyTime since;
};

class PluginHost {
public:
    // Starts its threads. What an earlier process left in the staging directory is cleared.
    [[nodiscard]] static Result<std::unique_ptr<PluginHost>> open(const HostOptions& options);
    ~PluginHost();  // stop(); code that hangs stays in memory, with its thread.
    // Ends its threads and all instances; nobody may be inside one. A bake that goes on is
    // forgotten: the next start looks at the configured file anew. Takes at most
    // kPluginStopTimeout and a little. Returns how many calls into plugins do not return. When that
    // is not 0, they go on to use HostOptions::parts: the caller must end the process without
    // destroying those. May be called again. [one-owner]
    unsigned stop();
    PluginHost(const PluginHost&) = delete;
    PluginHost& operator=(const PluginHost&) = delete;

    // Loads every configured plugin, each as history says (history.hpp). One that the daemon itself
    // has quarantined, or that does not return from its load within probe_timeout, with no
    // committed file to go back to, is left out: an alarm names it and its methods. Errors: the
    // first that cannot be loaded for another reason.
    [[nodiscard]] Result<void> start(const HostConfig& config);
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
    // The plugin that answers `method` and does not run: start() has left it out, and no reload has
    // loaded it since. With an empty `method`: one whose methods are unknown, because it never
    // passed a probe. nullopt: there is none. [any-thread]
    [[nodiscard]] std::optional<std::string> left_out(std::string_view method) const;
    // What somebody should look at, in words. [any-thread]
    [[nodiscard]] std::vector<std::string> alarms() const;
    [[nodiscard]] History& history() { return *history_; }
    // Numbers of reports by outcome and refusal code, since the start. [any-thread]
    [[nodiscard]] std::map<std::string, std::uint64_t> reload_counts() const;

    // For threads that run methods. [any-thread]
    [[nodiscard]] RoutingTable& routing() { return routing_; }

private:
    enum class RetiredState { kDraining, kEnding, kStuck, kParked, kLingering };
    struct Retired {
        Loaded loaded;
        RetiredState state = RetiredState::kDraining;
        SteadyTime since;
    };
    struct Bake {
        SteadyTime end;
        TrafficStats baseline;  // The old generation's, at the swap.
        std::uint64_t report = 0;
    };
    struct Plugin {
        SlotState slot;
        std::optional<Loaded> active;
        std::optional<Loaded> previous;  // Warm, while `active` bakes.
        std::optional<Bake> bake;
        std::vector<Retired> retired;
        std::string notice;  // Why it does not run what is configured; for alarms.
        // What could not be written after it had taken effect; tried again at `write_again`.
        std::vector<SlotEffect> unwritten;
        std::string unwritten_because;
        SteadyTime write_again;
        // Of generations that are no longer listed.
        std::uint64_t past_handled = 0;
        std::uint64_t past_faults = 0;
        std::map<std::string, CounterValue> past_counters;
        std::uint64_t unmapped = 0;
        std::size_t abandoned = 0;  // Images of loads that failed after the probe.
    };
    struct LeftOut {
        std::string why;      // For alarms.
        std::string methods;  // "a.b, a.c"; empty: not known.
    };
    struct LoadDone {
        tl::expected<LoadResult, LoadFailure> result;
    };
    struct EndDone {
        std::string plugin;
        std::uint64_t generation = 0;
        bool ended = false;
        bool unmap = false;
        bool gone = false;
    };

    explicit PluginHost(const HostOptions& options, ArtefactStore artefacts,
                        std::unique_ptr<History> history, LastEnd last_end,
                        std::unique_ptr<CrashRecorder> crash_recorder);
    void end_all();
    void leave_out(const std::string& plugin, const Refusal& refusal);

    // --- plugin_host.cpp: what is asked for ---
    [[nodiscard]] Result<void> check_request(ReloadRequest& request) const;     // Under mutex_.
    [[nodiscard]] Result<void> check_busy(const ReloadRequest& request) const;  // Under mutex_.
    // The next four under mutex_, or on the supervisor thread.
    [[nodiscard]] bool serves(const std::string& plugin) const;
    [[nodiscard]] bool bakes(const std::string& plugin) const;
    [[nodiscard]] bool waits_for_bake(const ReloadRequest& request) const;
    [[nodiscard]] bool may_begin(const ReloadRequest& request) const;
    [[nodiscard]] std::uint64_t enqueue(const ReloadRequest& request);
    [[nodiscard]] ReloadReport wait_for(std::uint64_t report) const;
    void wake() { wake_.signal(); }

    // --- reload.cpp: from a request to its end. [supervisor-thread] ---
    void begin_work();
    void begin(ReloadReport& report);
    void record_serving(ReloadReport& report);
    void begin_start(ReloadReport& report);
    void try_next_of_start();
    [[nodiscard]] Judged<void> begin_reload(ReloadReport& report);
    [[nodiscard]] Judged<void> roll_back(ReloadReport& report);
    [[nodiscard]] Judged<void> roll_back_to_warm(ReloadReport& report, Plugin& plugin);
    [[nodiscard]] Judged<std::string> committed_target(const ReloadReport& report,
                                                       const Plugin& plugin) const;
    [[nodiscard]] Judged<void> commit_now(ReloadReport& report);
    [[nodiscard]] Judged<void> unpin(ReloadReport& report);
    [[nodiscard]] LoadOrder order_for(const ReloadReport& report) const;
    void post_load(LoadOrder order);
    void take_load_results();
    void on_loaded(LoadResult result);
    void on_load_failed(const LoadFailure& failure);
    void on_start_refused(const LoadFailure& failure);
    [[nodiscard]] Judged<std::string> publish(LoadResult& result);
    void end_load(const Judged<std::string>& done);
    void end_unchanged(const LoadResult& result);
    void complete(ReloadReport& report, const Judged<std::string>& done);
    void cancel_waiting(const ReloadReport& by);
    void note_refusal(ReloadReport& report, const Refusal& refusal);
    void record(const ReloadReport& report, const std::string& outcome, const std::string& detail);
    void end_report(std::uint64_t report, const std::string& outcome, const std::string& detail);
    [[nodiscard]] std::optional<PluginSetup> configured(const std::string& plugin) const;

    // --- transition.cpp: what slot.hpp says is carried out. [supervisor-thread] ---
    // Errors: of plugins.db before anything has changed; later ones are logged.
    [[nodiscard]] Result<void> change(const std::string& name, const SlotEvent& event,
                                      std::optional<Loaded> loaded = {});
    [[nodiscard]] Result<void> carry_out(const std::string& name, const SlotEffect& effect,
                                         const SlotState& next, std::optional<Loaded>& loaded);
    void write_again(const std::string& name, Plugin& plugin);
    void serve(const std::string& name, Loaded loaded, bool keep_warm);
    void serve_warm(const std::string& name);
    void publish_routes();
    void retire(Plugin& plugin, Loaded loaded);

    // --- supervise.cpp: the thread; baking, draining, retiring. [supervisor-thread] ---
    void run_supervisor();
    [[nodiscard]] std::chrono::milliseconds patience() const;
    void tick();
    void look_at_files();
    void watch_bake(const std::string& name, Plugin& plugin);
    void finish_bake(const std::string& name, Plugin& plugin);
    void take_back(const std::string& name, Plugin& plugin, const std::string& why);
    void advance_retired(const std::string& name, Plugin& plugin);
    void give_up(const std::string& name, Retired& retired);
    void post_end(const std::string& name, Retired& retired, bool unmap);
    void take_end_results();
    void forget(Plugin& plugin, std::size_t retired);
    void close_windows();
    void forget_old_artefacts();
    [[nodiscard]] Policy policy() const;
    [[nodiscard]] SteadyTime now() const { return options_.parts.clock->steady(); }

    // --- status.cpp ---
    [[nodiscard]] PluginStatus status_of_plugin(const std::string& name,
                                                const Plugin& plugin) const;  // Under mutex_.
    [[nodiscard]] static std::string name_of(RetiredState state);
    static void add_alarms(const PluginStatus& plugin, std::vector<std::string>& out);

    const HostOptions options_;
    ArtefactStore artefacts_;  // The loader changes it, while a load is under way.
    const std::unique_ptr<History> history_;
    const std::set<std::string> died_in_;  // As LastEnd has it.
    const std::unique_ptr<CrashRecorder> crash_recorder_;
    RoutingTable routing_;
    WakeEvent wake_;
    Watch watch_;        // Supervisor.
    MarkedCalls calls_;  // Loader.
    std::atomic<bool> stopping_{false};
    std::atomic<bool> watching_changed_{true};  // config_ may name other files to watch.
    std::atomic<bool> baking_{false};  // Some plugin is: its faults wake the supervisor at once.

    // Guards everything below. The supervisor alone changes plugins_, and holds it only for
    // moments: never while it waits for a disk.
    mutable std::mutex mutex_;
    mutable std::condition_variable reports_changed_;
    HostConfig config_;
    std::map<std::string, Plugin> plugins_;
    std::map<std::string, LeftOut> left_out_;            // Configured plugins that do not run.
    std::map<std::string, std::string> crash_notices_;   // By plugin, until it is replaced.
    std::deque<std::unique_ptr<ReloadReport>> reports_;  // The oldest first; those queued wait.
    ReloadQueue queue_;
    std::optional<Loading> loading_;
    std::vector<LoadDone> loads_done_;
    std::vector<EndDone> ends_done_;
    std::uint64_t last_report_ = 0;
    std::uint64_t last_generation_ = 0;
    std::map<std::string, std::uint64_t> reload_counts_;

    Loader loader_;
    std::thread supervisor_;  // Last: it uses everything above.
};

}  // namespace export_worker::plugins
