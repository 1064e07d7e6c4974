// The job registry: every job, who runs it, and which file it published.
//
// An interface with one conformance suite (tests/unit/daemon/jobs/job_store_conformance.hpp),
// because another database follows. Rules every implementation keeps:
//  - Whoever holds a Lease writes under its epoch. A write with an older epoch, or on a job that is
//  no longer in
//    progress, changes nothing and returns kConflict.
//  - Cancelling and completing are two conditional updates of one row: whichever is first wins, and
//  the other
//    caller is told.
//  - A file becomes visible in the same transaction that completes its job.
// All functions: [any-thread], durable when they return. Errors beside those named:
// kResourceExhausted (disk full), kUnavailable, kDataLoss, kInternal.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/file.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/organization_scope.hpp"

namespace export_worker::jobs {

struct NewJob {
    std::string organization_id;
    std::string job_type;
    model::JobRunner runner = model::JobRunner::kDaemon;
    std::string spec_json = "{}";
    std::string metadata_json = "{}";
    std::int64_t total_items = 0;
    std::string triggered_by;
};

struct ClaimedJob {
    model::Lease lease;
    std::string organization_id;
    std::string spec_json;
    int attempt = 0;  // 1 for the first.
    std::int64_t created_us = 0;
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

// What a foreign worker reports in one call. Absent: unchanged.
struct ProgressReport {
    bool mark_started = false;
    bool mark_completed = false;
    std::optional<std::string> mark_failed;  // Error text.
    std::optional<std::int64_t> processed_items;
    std::optional<std::int64_t> total_items;
    std::optional<std::string> stage;
    std::optional<std::string> message;
    std::string metadata_patch_json;  // An object merged into metadata (RFC 7396), or empty.
    std::optional<model::JobEntry> error;
    std::optional<model::JobEntry> warning;
};

struct JobFilter {
    std::optional<model::JobStatus> status;
    std::string job_type;  // Empty: any.
    std::size_t limit = 50;
    std::size_t offset = 0;
};

struct JobPage {
    std::vector<model::Job> jobs;  // Newest first.
    std::int64_t total = 0;        // Matching the filter, not only on this page.
};

// A file that was intended but never published by a finished job.
struct UnpublishedFile {
    model::FileKey key;
    model::Lease lease;
};

struct JobCounts {
    std::int64_t pending = 0;
    std::int64_t in_progress = 0;
    std::int64_t completed = 0;
    std::int64_t failed = 0;
    std::int64_t cancelled = 0;
};

class JobStore {
public:
    virtual ~JobStore() = default;

    // --- callers ---
    [[nodiscard]] virtual Result<model::Job> create(const NewJob& job) = 0;
    // kNotFound for unknown jobs and for those outside the scope alike.
    [[nodiscard]] virtual Result<model::Job> find(const model::OrganizationScope& scope,
                                                  std::string_view job_id) = 0;
    // The same for minting a link; fills `file`, reusing its buffers.
    [[nodiscard]] virtual Result<void> find_file(const model::OrganizationScope& scope,
                                                 std::string_view job_id, model::JobFile& file) = 0;
    [[nodiscard]] virtual Result<JobPage> list(const model::OrganizationScope& scope,
                                               const JobFilter& filter) = 0;
    // A pending job is cancelled at once, a running one at its next heartbeat. kConflict: already
    // finished.
    [[nodiscard]] virtual Result<model::Job> request_cancel(const model::OrganizationScope& scope,
                                                            std::string_view job_id) = 0;
    // A failed or cancelled job of the daemon becomes pending with fresh attempts. kConflict
    // otherwise.
    [[nodiscard]] virtual Result<model::Job> retry(const model::OrganizationScope& scope,
                                                   std::string_view job_id) = 0;
    // For jobs with JobRunner::kExternal. kConflict: the job is finished or belongs to the daemon;
    // kInvalidArgument: more than one transition, or metadata over its limit.
    [[nodiscard]] virtual Result<model::Job> report(const model::OrganizationScope& scope,
                                                    std::string_view job_id,
                                                    const ProgressReport& report) = 0;

    // --- our workers ---
    // The oldest due job, now in progress under a new epoch; nullopt when there is none.
    [[nodiscard]] virtual Result<std::optional<ClaimedJob>> claim() = 0;
    // Life sign and progress. True: somebody asked to cancel. kConflict: the lease is lost; stop at
    // once.
    [[nodiscard]] virtual Result<bool> heartbeat(const model::Lease& lease,
                                                 const Progress& progress) = 0;
    // Before the first byte: the key that is about to exist. kConflict: lease lost.
    [[nodiscard]] virtual Result<void> intend_file(const model::Lease& lease,
                                                   const model::FileKey& key) = 0;
    // Publishes: file live, job completed. kConflict: lease lost. kCancelled: a cancel came first;
    // call cancelled().
    [[nodiscard]] virtual Result<void> complete(const model::Lease& lease,
                                                const Completion& completion) = 0;
    // Puts the job back, due after `delay_us`, or fails it when `permanent` or kJobAttemptsMax is
    // used up.
    [[nodiscard]] virtual Result<void> give_up_attempt(const model::Lease& lease,
                                                       std::string_view error, bool permanent,
                                                       std::int64_t delay_us) = 0;
    // Puts the job back as if it had not been claimed: the process is stopping.
    [[nodiscard]] virtual Result<void> release(const model::Lease& lease) = 0;
    // The worker has stopped and cleaned up after a cancel request.
    [[nodiscard]] virtual Result<void> cancelled(const model::Lease& lease) = 0;

    // --- cleaning up ---
    // Intended by an attempt that has ended without publishing: whoever holds the lease of a job
    // that runs keeps its own.
    [[nodiscard]] virtual Result<std::vector<UnpublishedFile>> unpublished_files() = 0;
    // The file is gone; forget the intention.
    [[nodiscard]] virtual Result<void> forget_file(const model::FileKey& key) = 0;
    // Is `key` of a job this registry knows, and neither published nor intended? Then nobody will
    // ever ask for it.
    [[nodiscard]] virtual Result<bool> is_orphan(const model::FileKey& key,
                                                 std::string_view job_id) = 0;

    // --- start-up, with no worker running ---
    // Every job the dead process was running becomes pending again (failed after kJobCrashesMax
    // deaths, cancelled when that was asked for). Returns how many there were.
    [[nodiscard]] virtual Result<std::size_t> rescue() = 0;

    [[nodiscard]] virtual Result<JobCounts> counts() = 0;
};

}  // namespace export_worker::jobs
