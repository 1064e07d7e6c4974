// The job registry: every job, who runs it, which file it published, what happened to it, and what
// the outside is still to be told.
//
// One interface for each of those who use it, and this object has them all. One conformance suite
// (tests/unit/daemon/jobs/job_store_*conformance.hpp) runs against every implementation; SQLite's
// is daemon/jobs/sqlite. Rules every implementation keeps:
//  - Who may write is decided by the lease (job_queue.hpp), never by time.
//  - Cancelling and completing are two conditional updates of one row: whichever is first wins, and
//  the other caller is told.
//  - A file becomes visible in the same transaction that completes its job, and the notice of it is
//  written there, too.
//  - Times come from the store's one clock, when the write runs. Lengths of time (retries,
//  deadlines, silence) are measured on the steady clock, from one life of the daemon to the next as
//  well: setting the wall clock moves none of them.
// Errors of all of them, beside those named: kResourceExhausted (disk full), kUnavailable,
// kDataLoss, kInternal; of writes kUnknownOutcome: the commit may have happened (docs/decisions/
// 0020-a-registry-with-two-sides.md).
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <string>

#include "base/problem.hpp"
#include "base/result.hpp"
#include "daemon/jobs/job_accesses.hpp"
#include "daemon/jobs/job_files.hpp"
#include "daemon/jobs/job_queue.hpp"
#include "daemon/jobs/job_reader.hpp"
#include "daemon/jobs/job_requests.hpp"
#include "daemon/jobs/job_retention.hpp"
#include "daemon/jobs/organizations.hpp"
#include "daemon/jobs/outbox.hpp"

namespace export_worker::jobs {

// Owns its parts. [any-thread]
class JobStore {
public:
    virtual ~JobStore() = default;

    [[nodiscard]] virtual JobReader& reader() = 0;
    [[nodiscard]] virtual JobRequests& requests() = 0;
    [[nodiscard]] virtual JobQueue& queue() = 0;
    [[nodiscard]] virtual JobFiles& files() = 0;
    [[nodiscard]] virtual JobRetention& retention() = 0;
    [[nodiscard]] virtual JobAccesses& accesses() = 0;
    [[nodiscard]] virtual Organizations& organizations() = 0;
    [[nodiscard]] virtual Outbox& outbox() = 0;

    // A copy of the registry as it is now, whole and consistent, at `path` (replaced). Errors:
    // kCancelled once `keep_going` returns false (null: to the end).
    [[nodiscard]] virtual Result<void> backup(const std::string& path,
                                              const std::function<bool()>& keep_going = {}) = 0;
    // Gives free space of the registry back to the disk. Errors: kDeadlineExceeded when writes
    // would have to wait for longer than `pause_max`, kResourceExhausted when the disk lacks the
    // room for it, kCancelled once `keep_going` returns false.
    [[nodiscard]] virtual Result<void> compact(std::chrono::milliseconds pause_max,
                                               const std::function<bool()>& keep_going) = 0;
    // Why the last write could not be made durable, or that the database is gone.
    [[nodiscard]] virtual Problem problem() const = 0;
    // Commits that failed since the start.
    [[nodiscard]] virtual std::uint64_t write_errors() const = 0;
};

}  // namespace export_worker::jobs
