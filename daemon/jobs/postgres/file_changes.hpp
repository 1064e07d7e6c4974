// Which files were withdrawn, for daemons that keep files in memory: those who withdraw write it,
// and every daemon asks for it twice a second.
//
// A writer takes the one row of file_version first, and all who withdraw wait for it: a version
// that was read is followed by no earlier one. A failover may lose versions; the start of the
// server, which is another one then, says so.
#pragma once

#include <atomic>
#include <cstdint>
#include <optional>
#include <span>
#include <string>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "base/stoppable_threads.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/postgres/file_cache.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// Before everything else of a transaction that withdraws files.
[[nodiscard]] Result<void> lock_file_version(postgres::Connection& connection);
// The files of these jobs are withdrawn in this transaction. lock_file_version() has been called.
[[nodiscard]] Result<void> record_withdrawn(postgres::Connection& connection,
                                            std::span<const std::string> job_ids, const Now& now);
// Forgets what is older than kFileChangesKept; a bounded number at once.
[[nodiscard]] Result<void> forget_file_changes(postgres::Connection& connection, const Now& now);

// Makes `cache` follow; its thread asks every kFileChangesInterval. [any-thread]
class FileChanges {
public:
    // Both outlive it.
    FileChanges(JobDatabase& database, FileCache& cache) : database_(database), cache_(cache) {}

    // Asks, and starts the thread. Once. Errors: those of reads.
    [[nodiscard]] Result<void> start();
    // Is it known which files were withdrawn until kFileCacheTime ago?
    [[nodiscard]] bool is_current() const;

private:
    struct Version {
        bool operator==(const Version&) const = default;
        std::int64_t number = 0;
        std::int64_t server_start_us = 0;
    };
    void run();
    [[nodiscard]] Result<void> follow();
    [[nodiscard]] Result<void> forget_changed(const Version& last);

    JobDatabase& database_;
    FileCache& cache_;
    std::optional<Version> known_;        // The thread's.
    std::atomic<SteadyTime> asked_at_{};  // The last question that was answered.
    std::atomic<bool> is_known_{false};   // There was one.
    StoppableThreads threads_;            // Last: it uses what is above.
};

}  // namespace export_worker::jobs::pg
