// The threads that run export jobs, and the one that looks after what time does to them.
#pragma once

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "base/metrics/histogram.hpp"
#include "daemon/export/export_runner.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {

struct HousekeepingPolicy {
    std::chrono::seconds stall_limit = limits::kJobStallLimitDefault;
    std::chrono::seconds sweep_interval = limits::kOrphanSweepInterval;
    std::chrono::seconds orphan_grace = limits::kOrphanGraceDefault;
    std::chrono::seconds file_retention = limits::kFileRetentionDefault;  // Zero: for ever.
    std::chrono::seconds job_retention = limits::kJobRetentionDefault;    // The same.
};

// Since the start. [any-thread]
struct ExportStats {
    std::atomic<std::uint64_t> completed{0};  // Attempts, as the next three.
    std::atomic<std::uint64_t> failed{0};
    std::atomic<std::uint64_t> cancelled{0};
    std::atomic<std::uint64_t> put_back{0};  // The daemon stops, or the lease is lost.
    std::atomic<std::uint64_t> busy_us{0};   // What all attempts took, of the steady clock.
    std::atomic<unsigned> running{0};        // Now.
    // The failed ones by ErrorCode.
    std::array<std::atomic<std::uint64_t>, kErrorCodes> failed_by{};
    // Taken from a worker that made no progress; the attempt ends later, as put_back.
    std::atomic<std::uint64_t> stalled{0};
    metrics::Histogram seconds{metrics::kLongSecondsBounds};  // What each attempt took.
};

class ExportWorkers {
public:
    // `deps` outlive this object. Starts nothing yet.
    ExportWorkers(const ExportDeps& deps, const HousekeepingPolicy& housekeeping)
        : deps_(deps), housekeeping_(housekeeping) {}
    ~ExportWorkers() { stop(); }
    ExportWorkers(const ExportWorkers&) = delete;
    ExportWorkers& operator=(const ExportWorkers&) = delete;

    // `count` workers, and one thread that keeps up: jobs that stalled or are past their deadline,
    // files and jobs that have become old, files nobody published.
    void start(unsigned count);
    // A job may be due. [any-thread]
    void wake();
    // Why exports fail, in words: the last kExportFailuresAlarm attempts all did, whatever jobs
    // they were of, and not because of what was asked for. Empty: they do not. [any-thread]
    [[nodiscard]] std::string problem() const;
    [[nodiscard]] const ExportStats& stats() const { return stats_; }
    [[nodiscard]] std::size_t workers() const { return slots_.size(); }  // Once started.
    // Running jobs are interrupted at the next batch and put back, with their attempt. Returns when
    // all stopped.
    void stop();

private:
    // What a worker runs now.
    struct Slot {
        explicit Slot(const std::atomic<bool>& stopping) : watch(stopping) {}
        std::mutex mutex;
        std::optional<jobs::ClaimedJob> job;  // Guarded by mutex.
        RunWatch watch;
    };

    void run(Slot& slot);
    void run_one(Slot& slot, const jobs::ClaimedJob& job);
    void count(const Result<void>& attempt, SteadyTime began);
    void run_housekeeping();
    // Takes the job away from a worker that makes no progress: its lease is lost from then on.
    void fence_stalled(Slot& slot);
    // After a freeze: stalls of exports and silence of workers are measured from now on.
    void count_anew();
    // False: deleting by age could be deleting by a wrong clock. The log says so once.
    [[nodiscard]] bool clock_is_trusted();
    // Each withdraws or forgets one batch of what is too old. True: there is more.
    [[nodiscard]] bool expire();
    [[nodiscard]] bool expire_files();
    [[nodiscard]] bool prune_jobs();
    void enforce_limits();
    void sweep_now();

    const ExportDeps deps_;
    const HousekeepingPolicy housekeeping_;
    ExportStats stats_;
    std::atomic<bool> stopping_{false};
    mutable std::mutex mutex_;
    std::condition_variable changed_;  // A wake, or the end.
    std::condition_variable ending_;
    std::uint64_t wakes_ = 0;   // Guarded by mutex_.
    int failures_ = 0;          // Attempts in a row. Guarded by mutex_.
    std::string last_failure_;  // Guarded by mutex_.
    std::deque<Slot> slots_;    // One a worker; fixed once started.
    std::vector<std::thread> threads_;
    // Of the housekeeping thread:
    bool retention_paused_ = false;
    std::size_t files_expired_ = 0;  // Since there was nothing too old.
};

}  // namespace export_worker::exports
