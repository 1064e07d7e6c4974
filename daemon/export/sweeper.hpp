// The thread that deletes files: expired and withdrawn ones once their links have ended, and what
// attempts have left in the store.
//
// A thread of its own, so that a store that is slow or away delays no deadline and no export. A
// crash between a deletion and its record is made good by the next look: the file is not there.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <mutex>
#include <optional>
#include <string>

#include "base/clock.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/export/export_runner.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::exports {

struct SweepPolicy {
    std::chrono::seconds interval = limits::kOrphanSweepInterval;
    std::chrono::seconds orphan_grace = limits::kOrphanGraceDefault;
};

// Files deleted since the start. [any-thread]
struct SweepStats {
    std::atomic<std::uint64_t> withdrawn{0};    // Expired, or withdrawn by fsck.
    std::atomic<std::uint64_t> unpublished{0};  // Of attempts that ended without publishing them.
    std::atomic<std::uint64_t> orphans{0};      // No job pointed to them.
};

class Sweeper {
public:
    // `deps` outlive this object. Starts nothing yet.
    Sweeper(const ExportDeps& deps, const SweepPolicy& policy) : deps_(deps), policy_(policy) {}
    Sweeper(const Sweeper&) = delete;
    Sweeper& operator=(const Sweeper&) = delete;

    void start() {
        threads_.start([this] { run(); });
    }
    void stop() { threads_.stop(); }  // Returns once the call into the store under way has ended.
    [[nodiscard]] const SweepStats& stats() const { return stats_; }
    // Why withdrawn files are still there, in words: none could be deleted for kSweepLateAlarm.
    // Empty: they can. [any-thread]
    [[nodiscard]] std::string problem() const;

private:
    void run();
    // False: some could not be deleted.
    [[nodiscard]] bool delete_withdrawn();
    void record(const Result<void>& deleted);
    void delete_unpublished();
    void sweep_now();

    const ExportDeps deps_;
    const SweepPolicy policy_;
    SweepStats stats_;
    mutable std::mutex mutex_;
    std::optional<SteadyTime> failing_since_;  // Guarded by mutex_, as the next.
    std::string last_failure_;
    StoppableThreads threads_;
};

}  // namespace export_worker::exports
