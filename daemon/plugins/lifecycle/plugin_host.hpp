// All plugins of the daemon: which generation answers which method, and how one follows another.
//
// A reload goes through stages, each of which can refuse: staging (artefact_store, trust),
// inspection, quarantine, probe, contract, budget, loading. Then the new generation is published
// with one atomic store and bakes: the one before stays warm, answers what the new one faults on
// (idempotent methods only), and comes back by itself when the new one does worse. Commit ends the
// bake; the old one drains and is retired. One loader thread does all of this; workers only pin.
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
#include <string_view>
#include <thread>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/wake_event.hpp"
#include "daemon/model/ledger.hpp"
#include "daemon/plugins/lifecycle/bake.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/lifecycle/last_end.hpp"
#include "daemon/plugins/lifecycle/reload_report.hpp"
#include "daemon/plugins/lifecycle/watch.hpp"
#include "daemon/plugins/probing/probe.hpp"
#include "daemon/plugins/routing/routing.hpp"
#include "daemon/plugins/running/crash_record.hpp"
#include "daemon/plugins/running/generation.hpp"
#include "daemon/plugins/running/plugin_thread.hpp"
#include "daemon/plugins/staging/artefact_store.hpp"

namespace export_worker::plugins {

// How reloads are done ([plugins] in the configuration).
struct Policy {
    std::chrono::milliseconds bake{60'000};  // Zero: commit at once.
    BakeBounds bounds;
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

struct HostOptions {
    std::string state_directory;                   // plugins/ and plugins.db are made in it.
    std::string probe_program = "/proc/self/exe";  // An export-workerd.
    HostParts parts;                        // Its credentials are replaced by the configuration's.
    const model::Ledger* ledger = nullptr;  // Outlives the host; nullptr: reports have no window.
    sqlite::Durability durability = sqlite::Durability::kSynced;  // Of plugins.db.
};

// One generation of a plugin, for operators.
struct GenerationStatus {
    std::uint64_t number = 0;
    std::string state;  // "active", "baking", "warm", "draining", "stuck", "parked", "lingering"
    std::string version;
    std::string build_id;
    std::string sha256;
    std::string file;
    std::uint64_t handled = 0;
    std::uint64_t faults = 0;
    std::chrono::microseconds p50{0};
    std::chrono::microseconds p99{0};
    std::vector<std::string> pinned_by;
    std::vector<Holder> holders;
    std::chrono::milliseconds in_state{0};
};

struct PluginStatus {
    std::string name;
    std::string version;
    std::uint64_t generation = 0;  // The one that answers.
    std::string build_id;
    std::string sha256;
    std::string file;  // Where the operator keeps it.
    std::vector<PluginMethod> methods;
    std::uint64_t handled = 0;  // By all generations since the start, like the next two.
    std::uint64_t faults = 0;
    std::vector<CounterValue> counters;
    std::string committed_sha256;
    std::optional<std::chrono::milliseconds> bake_left;
    std::vector<GenerationStatus> generations;  // The newest first.
    std::uint64_t unmapped = 0;                 // Generations that are gone without a trace.
};

class PluginHost {
public:
    // Starts the loader thread. What an earlier process left in the staging directory is cleared.
    [[nodiscard]] static Result<std::unique_ptr<PluginHost>> open(const HostOptions& options);
    ~PluginHost();  // stop(); code that hangs stays in memory, with its thread.
    // Ends the loader thread and all instances; nobody may be inside one. A bake that goes on is
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
    // are loaded. The reload of a plugin that bakes waits for the end of the bake; a rollback or
    // commit by an operator cancels it (refusal code "superseded"). Returns at once.
    void reconfigure(const HostConfig& config, const std::string& trigger);

    // Queues one action and returns the number of its report. kConflict: another one is under way
    // or the plugin bakes ("busy", and with whom); kNotFound: no such plugin. A rollback or commit
    // of a plugin that bakes is never busy and is the next action. [any-thread]
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
    // A generation with what it was made from.
    struct Loaded {
        std::unique_ptr<Generation> generation;
        std::string file;
        std::map<std::string, std::string> settings;
        std::shared_ptr<const credentials::CredentialStore> credentials;
        std::vector<std::string> pinned_by;
        std::size_t file_bytes = 0;
    };
    enum class RetiredState { kDraining, kStuck, kParked, kLingering };
    struct Retired {
        Loaded loaded;
        RetiredState state = RetiredState::kDraining;
        SteadyTime since;
    };
    struct Bake {
        SteadyTime end;
        TrafficStats baseline;  // The old generation's, at the swap.
        std::uint64_t report = 0;
        std::string configured_sha256;
    };
    struct Plugin {
        std::optional<Loaded> active;
        std::optional<Loaded> previous;  // Warm, while `active` bakes.
        std::optional<Bake> bake;
        std::vector<Retired> retired;
        std::string committed_sha256;
        std::string notice;  // Why it does not run what is configured; for alarms.
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
    // A candidate on its way through the stages.
    struct Candidate {
        ReloadReport* report = nullptr;
        Artefact artefact;
        Inspected inspected;
        std::string live_copy;
        ProbeReport probe;
        std::string golden;
        std::map<std::string, std::string> settings;
        std::uint32_t reason = EW_CREATE_RELOAD;
        std::string configured_sha256;
        std::string committed_sha256;  // At a start: what history has.
        bool check_contract = true;
        bool bake = true;
    };

    explicit PluginHost(const HostOptions& options, ArtefactStore artefacts,
                        std::unique_ptr<History> history, LastEnd last_end,
                        std::unique_ptr<CrashRecorder> crash_recorder);
    void end_all();
    static void leave_alone(std::unique_ptr<Generation> generation);
    void leave_out(const std::string& plugin, const Refusal& refusal);

    // --- plugin_host.cpp: the loader thread and its queue ---
    void run_loader();
    [[nodiscard]] ReloadReport* next_job();
    [[nodiscard]] bool waits_for_bake(const ReloadRequest& request) const;  // Under mutex_.
    [[nodiscard]] const ReloadReport* job_under_way() const;                // Under mutex_.
    [[nodiscard]] std::uint64_t enqueue(const ReloadRequest& request);
    [[nodiscard]] ReloadReport wait_for(std::uint64_t report) const;
    void wake() { wake_.signal(); }
    [[nodiscard]] std::chrono::milliseconds patience() const;

    // --- reload.cpp: one action, stage by stage; each says how it ended. [loader-thread] ---
    void run(ReloadReport& report);
    void complete(ReloadReport& report, const Judged<std::string>& done);
    void cancel_waiting(const ReloadReport& by);
    [[nodiscard]] Judged<std::string> perform(ReloadReport& report);
    [[nodiscard]] Judged<std::string> start_plugin(ReloadReport& report);
    [[nodiscard]] Judged<void> quarantine_what_died(const std::string& plugin,
                                                    const PluginRecord& record);
    [[nodiscard]] Judged<std::string> fall_back(ReloadReport& report, const PluginSetup& setup,
                                                const PluginRecord& record, const Refusal& why);
    [[nodiscard]] std::optional<std::string> fallback_target(const ReloadReport& report,
                                                             const PluginRecord& record,
                                                             const Refusal& why);
    [[nodiscard]] Judged<std::string> start_configured(ReloadReport& report,
                                                       const PluginSetup& setup,
                                                       const PluginRecord& record);
    [[nodiscard]] Judged<std::string> reload_file(ReloadReport& report, const std::string& file);
    [[nodiscard]] Judged<std::string> roll_back(ReloadReport& report);
    [[nodiscard]] Judged<std::string> roll_back_to_warm(ReloadReport& report, Plugin& plugin);
    [[nodiscard]] Judged<std::string> committed_target(const ReloadReport& report,
                                                       const Plugin& plugin) const;
    [[nodiscard]] Judged<std::string> commit_now(ReloadReport& report);
    void note_refusal(ReloadReport& report, const Refusal& refusal);
    void record(const ReloadReport& report, const std::string& outcome, const std::string& detail);
    void set_step(ReloadReport& report, const std::string& name, const std::string& detail,
                  SteadyTime since);
    [[nodiscard]] std::optional<PluginSetup> configured(const std::string& plugin) const;
    [[nodiscard]] Judged<std::string> read_golden(const std::string& file,
                                                  const std::string& configured_file) const;

    // --- stages.cpp: what a candidate goes through. [loader-thread] ---
    [[nodiscard]] Judged<std::string> examine_and_publish(Candidate& candidate);
    [[nodiscard]] Judged<void> inspect_candidate(Candidate& candidate);
    [[nodiscard]] Judged<void> probe_candidate(Candidate& candidate);
    [[nodiscard]] Judged<void> compare_candidate(Candidate& candidate);
    [[nodiscard]] Judged<void> check_quarantine(const Candidate& candidate);
    [[nodiscard]] Judged<void> check_budget(const Candidate& candidate) const;
    [[nodiscard]] Judged<Loaded> load_candidate(Candidate& candidate);
    [[nodiscard]] Judged<std::unique_ptr<Generation>> load_marked(const Candidate& candidate,
                                                                  Generation::Setup setup);
    [[nodiscard]] Judged<std::string> publish_candidate(Candidate& candidate, Loaded loaded);
    [[nodiscard]] bool is_unchanged(const Candidate& candidate) const;

    // --- supervise.cpp: baking, draining, retiring. [loader-thread] ---
    void tick();
    void watch_bake(const std::string& name, Plugin& plugin);
    void finish_bake(const std::string& name, Plugin& plugin);
    void take_back(const std::string& name, Plugin& plugin, const std::string& why,
                   bool quarantine);
    void take_back_a_start(const std::string& name, Plugin& plugin, const std::string& why);
    void end_start_bake(const std::string& name, Plugin& plugin, const std::string& why);
    void end_report(ReloadReport& report, const std::string& outcome, const std::string& detail);
    [[nodiscard]] Result<void> commit(const std::string& name, Plugin& plugin);
    void publish_routes();
    void retire(Plugin& plugin, Loaded loaded);
    void advance_retired(const std::string& name, Plugin& plugin);
    // False: it does not return, and the generation must stay for ever.
    [[nodiscard]] bool end_generation(Generation& generation, bool unmap);
    [[nodiscard]] bool run_marked(const PluginCallMark& mark, std::function<void()> work);
    void close_windows();
    void forget_old_artefacts();
    [[nodiscard]] static GenerationStatus status_of(const Loaded& loaded, std::string state);
    [[nodiscard]] SteadyTime now() const { return options_.parts.clock->steady(); }

    const HostOptions options_;
    ArtefactStore artefacts_;  // Loader thread.
    const std::unique_ptr<History> history_;
    const std::set<std::string> died_in_;  // As LastEnd has it.
    const std::unique_ptr<CrashRecorder> crash_recorder_;
    RoutingTable routing_;
    WakeEvent wake_;
    Watch watch_;  // Loader thread.
    PluginThread calls_;
    std::vector<PluginCallMark> hung_marks_;  // Loader thread. Of calls that did not return.
    std::atomic<bool> stopping_{false};
    std::atomic<bool> watching_changed_{true};  // config_ may name other files to watch.
    std::atomic<bool> baking_{false};  // Some plugin is: its faults wake the loader at once.

    // Guards everything below. The loader thread alone changes plugins_, and holds it only for
    // moments: never while it runs code of a plugin or waits for a disk.
    mutable std::mutex mutex_;
    mutable std::condition_variable reports_changed_;
    HostConfig config_;
    std::map<std::string, Plugin> plugins_;
    std::map<std::string, LeftOut> left_out_;            // Configured plugins that do not run.
    std::map<std::string, std::string> crash_notices_;   // By plugin, until it is replaced.
    std::deque<std::unique_ptr<ReloadReport>> reports_;  // The oldest first; those queued wait.
    std::deque<ReloadReport*> queue_;
    const ReloadReport* running_ = nullptr;
    std::uint64_t last_report_ = 0;
    std::uint64_t last_generation_ = 0;
    std::map<std::string, std::uint64_t> reload_counts_;

    std::thread loader_;  // Last: it uses everything above.
};

}  // namespace export_worker::plugins
