// What workers do: take the next job, and say under its lease how it goes and how it ends.
//
// The holder of a Lease writes under its epoch and its claim's token. A write with others, or on a
// job that is no longer in progress, changes nothing and returns kConflict. Time never decides who
// may write; it only decides when the epoch may be raised. [any-thread], durable when they return.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/file.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

struct ClaimedJob {
    model::Lease lease;
    std::string organization_id;
    std::string spec_json;
    int attempt = 0;  // 1 for the first.
    std::int64_t created_us = 0;
    std::string trace_id;  // The job's.
};

struct Progress {
    std::int64_t processed_items = 0;
    std::optional<std::int64_t> total_items;
    std::string_view stage;
};

struct Completion {
    model::FileReceipt file;
    std::string filename;  // Suggested download name.
    std::string
        metadata_json;  // Merged into the job's; file_url and filename are added by the store.
    std::int64_t processed_items = 0;
    std::int64_t failed_items = 0;        // Any: the job is a partial_success.
    std::int64_t warned_items = 0;        // Any, and none failed: it is completed_with_warnings.
    std::vector<model::JobEntry> errors;  // The first of each, for the job.
    std::vector<model::JobEntry> warnings;
};

// A write whose answer was kUnknownOutcome is run again with the same arguments; only then it may
// find its own work.
enum class Run : std::uint8_t { kFirst, kAgain };

// Errors: those of job_store.hpp.
class JobQueue {
public:
    virtual ~JobQueue() = default;

    // The next job, now in progress under a new epoch; nullopt when none may start. Of the
    // organizations that have work and are below their limit, the one that had the least for its
    // weight; of its jobs the one of the highest priority that is due longest. Priorities age: each
    // is worth kPriorityAge of waiting. After kUnknownOutcome the next call finds the job that was
    // claimed, if one was.
    [[nodiscard]] virtual Result<std::optional<ClaimedJob>> claim() = 0;
    // Records liveness and progress. Returns true if cancellation was requested. kConflict: the
    // lease is lost; stop at once.
    [[nodiscard]] virtual Result<bool> heartbeat(const model::Lease& lease,
                                                 const Progress& progress) = 0;
    // Before the first byte: the key that is about to exist. kConflict: lease lost.
    [[nodiscard]] virtual Result<void> intend_file(const model::Lease& lease,
                                                   const model::FileKey& key,
                                                   Run run = Run::kFirst) = 0;
    // Publishes: file live, job completed, and its notice written, in one transaction. kConflict:
    // lease lost. kCancelled: a cancel came first; call cancelled(). kUnknownOutcome: the file may
    // be published and must stay; run it again until the answer is success or one of these two.
    [[nodiscard]] virtual Result<void> complete(const model::Lease& lease,
                                                const Completion& completion,
                                                Run run = Run::kFirst) = 0;
    // Puts the job back, due after `delay_us`, or fails it when `permanent` or its attempts are
    // used up; cancels it when that was asked for.
    [[nodiscard]] virtual Result<void> give_up_attempt(const model::Lease& lease,
                                                       std::string_view error, bool permanent,
                                                       std::int64_t delay_us,
                                                       Run run = Run::kFirst) = 0;
    // Puts the job back as if it had not been claimed: the process is stopping. After
    // kJobInterruptionsMax times the attempt counts.
    [[nodiscard]] virtual Result<void> release(const model::Lease& lease,
                                               Run run = Run::kFirst) = 0;
    // The worker has stopped and cleaned up after a cancel request.
    [[nodiscard]] virtual Result<void> cancelled(const model::Lease& lease,
                                                 Run run = Run::kFirst) = 0;
    // Every job in progress of an instance whose life is over becomes pending again (failed after
    // kJobCrashesMax deaths, cancelled when that was asked for). Returns how many there were. The
    // store knows which lives are over: on SQLite all before this one, because the lock of the
    // directory belongs to one process.
    [[nodiscard]] virtual Result<std::size_t> rescue() = 0;
    // The jobs in progress that this life owns. One that no attempt of the process runs was taken
    // by a claim whose answer was lost (UnattendedJobs).
    [[nodiscard]] virtual Result<std::vector<model::Lease>> owned_jobs() = 0;
};

}  // namespace export_worker::jobs
