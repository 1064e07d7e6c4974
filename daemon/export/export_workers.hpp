// The threads that run export jobs, and the one that takes stalled jobs away from them.
#pragma once

#include <array>
#include <atomic>
#include <deque>
#include <mutex>
#include <optional>

#include "base/metrics/histogram.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/export/export_runner.hpp"
#include "daemon/jobs/unattended_jobs.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {

// Since the start. [any-thread]
struct ExportStats {
    std::atomic<std::uint64_t> completed{0};  // Attempts, as the next three.
    std::atomic<std::uint64_t> failed{0};
    std::atomic<std::uint64_t> cancelled{0};
    std::atomic<std::uint64_t> put_back{
        0};  // The daemon stops, the store is away, or the lease is lost.
    std::atomic<std::uint64_t> busy_us{0};  // What all attempts took, of the steady clock.
    std::atomic<unsigned> running{0};       // Now.
    // The failed ones by ErrorCode.
    std::array<std::atomic<std::uint64_t>, kErrorCodes> failed_by{};
    // Taken from a worker that made no progress; the attempt ends later, as put_back.
    std::atomic<std::uint64_t> stalled{0};
    metrics::Histogram seconds{metrics::kLongSecondsBounds};  // What each attempt took.
};

class ExportWorkers {
public:
    // `deps` outlive this object. A job without progress for `stall_limit` is taken away from its
    // worker. Starts nothing yet.
    explicit ExportWorkers(const ExportDeps& deps,
                           std::chrono::seconds stall_limit = limits::kJobStallLimitDefault)
        : deps_(deps), stall_limit_(stall_limit) {}
    ~ExportWorkers() { stop(); }
    ExportWorkers(const ExportWorkers&) = delete;
    ExportWorkers& operator=(const ExportWorkers&) = delete;

    // `count` workers, and the thread that watches them.
    void start(unsigned count);
    // A job may be due. [any-thread]
    void wake() { threads_.wake(); }
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
    void count(const Result<void>& attempt, bool interrupted, SteadyTime began);
    void run_watch();
    // Takes the job away from a worker that makes no progress: its lease is lost from then on.
    void fence_stalled(Slot& slot);
    // Puts back jobs that a claim has taken without an answer.
    void release_unattended();
    // After a freeze: stalls are measured from now on.
    void count_anew();

    const ExportDeps deps_;
    const std::chrono::seconds stall_limit_;
    ExportStats stats_;
    mutable std::mutex mutex_;
    int failures_ = 0;                 // Attempts in a row. Guarded by mutex_.
    std::string last_failure_;         // Guarded by mutex_.
    std::deque<Slot> slots_;           // One a worker; fixed once started.
    jobs::UnattendedJobs unattended_;  // Of the watch.
    StoppableThreads threads_;
};

}  // namespace export_worker::exports
