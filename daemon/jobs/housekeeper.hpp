// The thread that keeps the registry's promises about time: deadlines, silence, retention.
//
// Where several daemons share a registry, the one that leads does it; it also puts back what a
// daemon that died was running. It belongs to the registry: it runs where no exports run, and waits
// for no file store. Everything it does is one bounded write after another, so a crash leaves
// nothing half done.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/job_retention.hpp"
#include "daemon/jobs/standing.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::jobs {

// How long after its end a job keeps its file, and its place in the registry. Zero: for ever.
struct RetentionPolicy {
    std::chrono::seconds file_age = limits::kFileRetentionDefault;
    std::chrono::seconds job_age = limits::kJobRetentionDefault;
};

// Since the start. [any-thread]
struct HousekeepingStats {
    std::atomic<std::uint64_t> files_expired{0};
    std::atomic<std::uint64_t> jobs_pruned{0};
    std::atomic<std::uint64_t> notices_pruned{0};
    // What was too old when it was last counted, each at most kRetentionCountMax.
    std::atomic<std::int64_t> files_due{0};
    std::atomic<std::int64_t> jobs_due{0};
    std::atomic<std::int64_t> notices_due{0};
};

class Housekeeper {
public:
    // `jobs`, `queue` and `clock` outlive this object. Starts nothing yet.
    Housekeeper(JobRetention& jobs, JobQueue& queue, const Clock& clock,
                const RetentionPolicy& retention, Standing standing = {})
        : jobs_(jobs),
          queue_(queue),
          clock_(clock),
          retention_(retention),
          standing_(std::move(standing)) {}
    Housekeeper(const Housekeeper&) = delete;
    Housekeeper& operator=(const Housekeeper&) = delete;

    void start() {
        threads_.start([this] { run(); });
    }
    void stop() { threads_.stop(); }  // Returns once the write under way has ended.
    [[nodiscard]] const HousekeepingStats& stats() const { return stats_; }
    [[nodiscard]] const RetentionPolicy& retention() const { return retention_; }
    // Why what is too old is still there, in words: retention has not caught up for
    // kRetentionBehindAlarm. Empty: it has. [any-thread]
    [[nodiscard]] std::string problem() const;
    // Retention until nothing is too old, on the caller's thread; gives way to requests as the
    // thread does. `progress` is called after each batch; false ends it. Errors: those of the
    // store; kFailedPrecondition while retention is paused. [any-thread]
    [[nodiscard]] Result<Pruned> prune_now(const std::function<bool(const Pruned&)>& progress);

private:
    void run();
    void restart_silence();
    // True: there may be more to do at once.
    [[nodiscard]] bool keep_house(SteadyTime& next_retention);
    void rescue();
    // Each is one batch. True: there may be more.
    [[nodiscard]] bool enforce_limits();
    [[nodiscard]] bool retain();
    // False: deleting by age could be deleting by a wrong clock. The log says so once.
    [[nodiscard]] bool clock_is_trusted();
    // By more than retention tolerates, since it last looked: then it does not wait for its time.
    [[nodiscard]] bool clock_was_set() const;
    [[nodiscard]] Result<Pruned> retain_batch();
    void record_backlog(bool more);
    void log_retention();

    JobRetention& jobs_;
    JobQueue& queue_;
    const Clock& clock_;
    const RetentionPolicy retention_;
    const Standing standing_;
    HousekeepingStats stats_;
    mutable std::mutex mutex_;
    std::optional<SteadyTime> behind_since_;  // Guarded by mutex_.
    // Of the thread:
    bool retention_paused_ = false;
    std::int64_t wall_offset_us_ = 0;  // Of the wall clock to the steady one, at the last look.
    Pruned retained_;                  // Since nothing was too old.
    std::size_t failed_ = 0;           // Jobs past their deadline or silent, since there was none.
    SteadyTime next_count_{};
    StoppableThreads threads_;
};

}  // namespace export_worker::jobs
