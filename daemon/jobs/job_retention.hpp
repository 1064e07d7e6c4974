// What time does to jobs: deadlines, silence, retention. [any-thread], durable when they return.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

#include "base/result.hpp"

namespace export_worker::jobs {

// The wall clock is too far from the last time the daemon ran: retention deletes nothing.
struct RetentionPause {
    std::int64_t last_run_us = 0;  // Unix time, as all of it.
    std::int64_t now_us = 0;       // What the clock says now.
};

// What one batch of retention removes, or several.
struct Pruned {
    std::size_t files = 0;  // Withdrawn; they are deleted later.
    std::size_t jobs = 0;
    std::size_t notices = 0;
    std::size_t accesses = 0;  // Rows: links and downloads by job, kind, actor and minute.
};

// What is too old and still there, each counted as far as kRetentionCountMax.
struct RetentionBacklog {
    std::int64_t files = 0;
    std::int64_t jobs = 0;
    std::int64_t notices = 0;
};

// Errors: those of job_store.hpp.
class JobRetention {
public:
    virtual ~JobRetention() = default;

    // Fails what is past its deadline, and external jobs that were silent for longer than they
    // allow or than kExternalSilenceMax. At most kHousekeepingBatch for each of these reasons.
    // Returns how many, with those past their deadline that claims have failed since the last call:
    // to be called again until it is 0.
    [[nodiscard]] virtual Result<std::size_t> enforce_limits() = 0;
    // From now on, external jobs that say how long they may be silent are silent anew: while the
    // daemon was away no worker could report. Writes at most kHousekeepingBatch at once, and asks
    // `keep_going` between two (null: to the end). Errors: kCancelled once that returns false;
    // those that were not reached count as before.
    [[nodiscard]] virtual Result<void> restart_silence(
        const std::function<bool()>& keep_going = {}) = 0;
    // May retention go by the wall clock? Yes when it is at most `tolerance` from the last yes,
    // which it then replaces; the first time it is yes. Otherwise retention is paused until the
    // clock is back or resume_retention() is called. To be asked before expire_files() and prune().
    [[nodiscard]] virtual Result<bool> check_retention_clock(std::chrono::seconds tolerance) = 0;
    // An operator says that the clock is right. False: retention was not paused.
    [[nodiscard]] virtual Result<bool> resume_retention() = 0;
    // nullopt: retention goes on.
    [[nodiscard]] virtual Result<std::optional<RetentionPause>> retention_pause() = 0;
    // Withdraws the files of jobs that ended `age` ago: no link is minted any more, and
    // JobFiles::deletable_files() names them later. At most kHousekeepingBatch; how many.
    [[nodiscard]] virtual Result<std::size_t> expire_files(std::chrono::seconds age) = 0;
    // Forgets jobs that ended `age` ago and have no file of ours left, with all about them, and
    // notices, links and downloads of that age. At most kHousekeepingBatch of each.
    [[nodiscard]] virtual Result<Pruned> prune(std::chrono::seconds age) = 0;
    // What expire_files() and prune() would take; zero: for ever.
    [[nodiscard]] virtual Result<RetentionBacklog> retention_backlog(
        std::chrono::seconds file_age, std::chrono::seconds job_age) = 0;
};

}  // namespace export_worker::jobs
