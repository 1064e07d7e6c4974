// The requests about plugins and what has come of each: those that wait, the one whose load is
// under way, those that have ended.
//
// A crash leaves what is in plugins.db: an entry for each that has ended, other than "unchanged".
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/lifecycle/reload_queue.hpp"
#include "daemon/plugins/lifecycle/reload_report.hpp"

namespace export_worker::plugins {

// Hands out copies. The lock is never held during I/O.
class ReportBook {
public:
    struct LoadUnderWay {
        ReloadReport report;
        SteadyTime since;
    };
    using Condition = std::function<bool(const ReloadRequest&)>;

    // Both outlive it.
    ReportBook(History& history, const Clock& clock) : history_(history), clock_(clock) {}

    // Queues `request` and returns the number of its report, or that of one which asks for the same
    // and has not begun. [any-thread]
    [[nodiscard]] std::uint64_t add(const ReloadRequest& request, bool waits_for_bake);
    // nullopt: unknown, or too long ago. [any-thread]
    [[nodiscard]] std::optional<ReloadReport> find(std::uint64_t id) const;
    // How long a start is waited for: if a committed file serves, no longer than until
    // `committed_until`, and never once it is cancelled.
    struct Patience {
        SteadyTime committed_until = SteadyTime::max();
        std::function<bool()> is_cancelled = [] { return false; };  // Asked every 100 ms.
    };
    // Blocks until a request that add() has taken ends or bakes, or the patience does. [any-thread]
    [[nodiscard]] ReloadReport wait_for(std::uint64_t id, const Patience& patience) const;
    // Numbers of reports by outcome and refusal code. [any-thread]
    [[nodiscard]] std::map<std::string, std::uint64_t> counts() const;
    // What an operator has asked for about this plugin and waits or is being loaded, dry runs
    // apart. [any-thread]
    [[nodiscard]] std::optional<ReloadReport> by_operator(const std::string& plugin) const;
    // [any-thread]
    [[nodiscard]] std::optional<LoadUnderWay> load_under_way() const;
    // Notes down what was found meanwhile. A report that is gone is left alone. [any-thread]
    void update(std::uint64_t id, const std::function<void(ReloadReport&)>& change);

    // Takes the first request that may begin; if it `needs_load`, its load is under way until
    // complete(). [supervisor-thread]
    [[nodiscard]] std::optional<ReloadReport> take(const Condition& may_begin,
                                                   const Condition& needs_load);
    // The report has this outcome, or refusal, now; plugins.db has it, too. [supervisor-thread]
    void complete(std::uint64_t id, const Verdict<std::string>& done);
    // The bake of that report is over: "committed" or "rolled_back". [supervisor-thread]
    void end_bake(std::uint64_t id, const std::string& outcome, const std::string& detail);
    // The same without an entry: the request that has ended it has its own. [supervisor-thread]
    void set_outcome(std::uint64_t id, const std::string& outcome);
    // The load that is under way is put off: others may begin. [supervisor-thread]
    void pause_load();
    void resume_load(std::uint64_t id);
    // A start has not begun. [supervisor-thread]
    [[nodiscard]] bool is_start_waiting() const;
    // Takes out the loads of this plugin that came by themselves and wait. [supervisor-thread]
    [[nodiscard]] std::vector<std::uint64_t> drop_automatic(const std::string& plugin);

    // Adds to plugins.db what could not be written down when it happened, at most once a second.
    // [supervisor-thread]
    void write_again();

    // Calls `close` with each report whose window is open. [supervisor-thread]
    void visit_windows(const std::function<void(const ReloadReport&, SwapWindow&)>& close);
    [[nodiscard]] bool has_open_window() const;

private:
    [[nodiscard]] ReloadReport* find_locked(std::uint64_t id) const;
    void record(const ReloadReport& report, const std::string& outcome, const std::string& detail);
    [[nodiscard]] bool write_down(const HistoryEntry& entry);

    History& history_;
    const Clock& clock_;

    // Supervisor thread only; the oldest goes when there are more than kPluginReportsMax.
    std::deque<HistoryEntry> unwritten_;
    SteadyTime write_again_{};

    mutable std::mutex mutex_;  // Guards everything below.
    mutable std::condition_variable changed_;
    std::deque<std::unique_ptr<ReloadReport>> reports_;  // The oldest first; those queued wait.
    ReloadQueue queue_;
    const ReloadReport* loading_ = nullptr;
    SteadyTime loading_since_;
    std::uint64_t last_id_ = 0;
    std::map<std::string, std::uint64_t> counts_;
};

}  // namespace export_worker::plugins
