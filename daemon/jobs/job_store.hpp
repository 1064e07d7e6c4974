// The job registry: every job, who runs it, which file it published, what happened to it, and what
// the outside is still to be told.
//
// An interface with one conformance suite (tests/unit/daemon/jobs/job_store_*conformance.hpp),
// because another database follows. Rules every implementation keeps:
//  - The holder of a Lease writes under its epoch. A write with an older epoch, or on a job that is
//  no longer in progress, changes nothing and returns kConflict. Time never decides who may write;
//  it only decides when the epoch may be raised.
//  - Cancelling and completing are two conditional updates of one row: whichever is first wins, and
//  the other caller is told.
//  - A file becomes visible in the same transaction that completes its job, and the notice of it is
//  written there, too.
//  - Lengths of time (retries, deadlines, silence) are measured on the steady clock while the
//  process lives: setting the wall clock moves none of them.
// All functions: [any-thread], durable when they return. Errors beside those named:
// kResourceExhausted (disk full), kUnavailable, kDataLoss, kInternal. `actor` is who asks, for the
// job's events.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/model/file.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/model/organization_scope.hpp"

namespace export_worker::jobs {

// What the store decides by itself.
struct JobPolicy {
    int attempts_max = limits::kJobAttemptsDefault;  // Of a job that does not say.
    // Jobs of one organization that run at the same time, where the organization has no number of
    // its own.
    int organization_running_max = limits::kOrganizationRunningDefault;
    std::string version;  // Of this program, for the list of instances.
};

struct NewJob {
    std::string organization_id;
    std::string job_type;
    model::JobRunner runner = model::JobRunner::kDaemon;
    std::string spec_json = "{}";
    std::string metadata_json = "{}";
    std::int64_t total_items = 0;
    bool total_is_estimate = false;
    std::string submitted_by;  // Who authenticated: the actor of the event `submitted`.
    std::string triggered_by;  // Who wants it, as the caller says; empty: `submitted_by`.
    model::JobPriority priority = model::JobPriority::kNormal;
    std::optional<std::int64_t> start_unix_us;  // Not before; absent: now. At most kJobTimesMax on.
    std::optional<std::chrono::seconds> deadline;       // From the start to the end.
    std::optional<std::chrono::seconds> silence_limit;  // Of an external job, between two reports.
    int attempts_max = 0;                               // 0: the policy's.
    // The same key again in this organization is the same job when the request is the same, too.
    std::string idempotency_key;  // Empty: none.
    std::string request_sha256;   // Hash of the request, for that.
    std::string trace_id;         // Of the request, 32 hex digits; empty: it has none.
};

// For NewJob::request_sha256: what a request asks for, whatever key it carries.
[[nodiscard]] std::string hash_of_request(nlohmann::json request);

// A write under way: waits until it is durable. To be called once; what was begun happens even when
// it is not.
template <typename T>
using Pending = std::function<Result<T>()>;

struct CreatedJob {
    model::Job job;
    bool existed = false;  // The idempotency key found it.
};

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
    std::vector<model::Job> jobs;  // Newest first; their entries are left out.
    std::int64_t total = 0;        // Matching the filter, not only on this page.
};

// A list that ends early when its texts reach kJobsPageBytesMax.
template <typename T>
struct Page {
    std::vector<T> items;
    bool more = false;  // Something follows the last item.
};

// A file that was intended but never published by a finished job.
struct UnpublishedFile {
    model::FileKey key;
    model::Lease lease;
};

// How much of the workers an organization gets, and its quotas (absent: none).
struct OrganizationPolicy {
    std::string organization_id;
    std::optional<int> running_max;                   // Absent: the policy's.
    int weight = 1;                                   // Its share, against others' weights.
    bool held = false;                                // None of its jobs is started.
    std::optional<std::int64_t> unfinished_max = {};  // Jobs of either runner that have not ended.
    std::optional<std::int64_t> stored_bytes_max =
        {};  // Of published files; at it no export is taken.
    std::optional<int> requests_per_second_max = {};
};

struct OrganizationState {
    OrganizationPolicy policy;
    std::int64_t pending = 0;
    std::int64_t running = 0;
    std::int64_t unfinished = 0;    // External jobs, too.
    std::int64_t stored_bytes = 0;  // Of published files.
};

// An event that happened outside of the store: a link, a download.
struct NewEvent {
    std::string job_id;
    std::string kind;
    std::string actor;
    std::string detail;
    std::int64_t count = 1;
};

// A file of a finished job, as the store remembers it.
struct PublishedFile {
    model::FileKey key;
    std::string job_id;
    std::string organization_id;
    std::uint64_t bytes = 0;
    std::string sha256;
};

// The wall clock is too far from the last time the daemon ran: retention deletes nothing.
struct RetentionPause {
    std::int64_t last_run_us = 0;  // Unix time, as all of it.
    std::int64_t found_us = 0;     // What the clock said instead.
};

struct Pruned {
    std::size_t jobs = 0;
    std::size_t notices = 0;
};

struct JobCounts {
    std::int64_t pending = 0;
    std::int64_t in_progress = 0;
    std::int64_t completed = 0;
    std::int64_t failed = 0;
    std::int64_t cancelled = 0;
    std::int64_t oldest_due_us = 0;    // Since when the longest waiting job could run; 0: none.
    std::int64_t fenced = 0;           // Writes refused because a lease was lost.
    std::int64_t notices_pending = 0;  // Not yet delivered.
};

// Jobs of the daemon that wait, by whose they are.
struct WaitingJobs {
    struct Queue {
        std::string organization_id;
        std::int64_t pending = 0;
    };
    std::vector<Queue> longest;  // The longest first.
    std::int64_t others = 0;     // Jobs of the organizations that are not among them.
};

class JobStore {
public:
    virtual ~JobStore() = default;

    // Which registry this is: 32 hex digits, the same for ever. A copy of it has the same.
    [[nodiscard]] virtual const std::string& registry_id() const = 0;

    // --- callers ---
    // kConflict: the idempotency key belongs to another request. kQuotaExceeded: the organization
    // has as many unfinished jobs or stored bytes as it may. kInvalidArgument: the start is too far
    // ahead, or metadata over its limit.
    [[nodiscard]] virtual Result<Pending<CreatedJob>> begin_create(NewJob job) = 0;
    [[nodiscard]] Result<CreatedJob> create(NewJob job) {
        EW_TRY(const Pending<CreatedJob> created, begin_create(std::move(job)));
        return created();
    }
    // kNotFound for unknown jobs and for those outside the scope alike.
    [[nodiscard]] virtual Result<model::Job> find(const model::OrganizationScope& scope,
                                                  std::string_view job_id) = 0;
    // The same for minting a link; fills `file`, reusing its buffers.
    [[nodiscard]] virtual Result<void> find_file(const model::OrganizationScope& scope,
                                                 std::string_view job_id, model::JobFile& file) = 0;
    // Ends before the filter's limit when the texts reach kJobsPageBytesMax.
    [[nodiscard]] virtual Result<JobPage> list(const model::OrganizationScope& scope,
                                               const JobFilter& filter) = 0;
    // A pending job is cancelled at once, a running one at its next heartbeat. kConflict: already
    // finished.
    [[nodiscard]] virtual Result<model::Job> request_cancel(const model::OrganizationScope& scope,
                                                            std::string_view job_id,
                                                            std::string_view actor) = 0;
    // A failed or cancelled job of the daemon becomes pending with fresh attempts. kConflict
    // otherwise; kQuotaExceeded as for a new one.
    [[nodiscard]] virtual Result<model::Job> retry(const model::OrganizationScope& scope,
                                                   std::string_view job_id,
                                                   std::string_view actor) = 0;
    // A pending job of the daemon is not started until release_hold(). kConflict: it is not
    // pending. Doing it twice is fine. A held job has no deadline; its release gives it a whole
    // one.
    [[nodiscard]] virtual Result<model::Job> hold(const model::OrganizationScope& scope,
                                                  std::string_view job_id,
                                                  std::string_view actor) = 0;
    [[nodiscard]] virtual Result<model::Job> release_hold(const model::OrganizationScope& scope,
                                                          std::string_view job_id,
                                                          std::string_view actor) = 0;
    // For jobs with JobRunner::kExternal. The job comes back without its entries. kConflict: the
    // job is finished or belongs to the daemon; kInvalidArgument: more than one transition, or
    // metadata over its limit.
    [[nodiscard]] virtual Result<Pending<model::Job>> begin_report(
        const model::OrganizationScope& scope, std::string job_id, ProgressReport report,
        std::string actor) = 0;
    [[nodiscard]] Result<model::Job> report(const model::OrganizationScope& scope,
                                            std::string job_id, ProgressReport report,
                                            std::string actor) {
        EW_TRY(const Pending<model::Job> reported,
               begin_report(scope, std::move(job_id), std::move(report), std::move(actor)));
        return reported();
    }
    // The job's events after number `after`, oldest first, at most kJobEventsPage.
    [[nodiscard]] virtual Result<Page<model::JobEvent>> events(
        const model::OrganizationScope& scope, std::string_view job_id, std::int64_t after) = 0;
    // Adds events; those of unknown jobs are dropped. The same kind by the same actor within
    // kJobEventMerge, or beyond kJobEventsMax events, is counted on the event that is there.
    [[nodiscard]] virtual Result<void> add_events(std::span<const NewEvent> events) = 0;

    // --- organizations: a hold that cannot be written holds until the store is opened again ---
    [[nodiscard]] virtual Result<void> set_organization(const OrganizationPolicy& policy) = 0;
    // Those with a policy of their own, and those with jobs that are not finished, by id, behind
    // `after`; at most kOrganizationsPage.
    [[nodiscard]] virtual Result<Page<OrganizationState>> organizations(std::string_view after) = 0;
    // One that has neither has the policy of all.
    [[nodiscard]] virtual Result<OrganizationState> organization(std::string_view id) = 0;
    // Counts a request. kQuotaExceeded: the organization sends more a second than it may. No I/O.
    [[nodiscard]] virtual Result<void> admit_request(std::string_view organization_id) = 0;

    // --- our workers ---
    // The next job, now in progress under a new epoch; nullopt when none may start. Of the
    // organizations that have work and are below their limit, the one that had the least for its
    // weight; of its jobs the one of the highest priority that is due longest.
    [[nodiscard]] virtual Result<std::optional<ClaimedJob>> claim() = 0;
    // Records liveness and progress. Returns true if cancellation was requested. kConflict: the
    // lease is lost; stop at once.
    [[nodiscard]] virtual Result<bool> heartbeat(const model::Lease& lease,
                                                 const Progress& progress) = 0;
    // Before the first byte: the key that is about to exist. kConflict: lease lost.
    [[nodiscard]] virtual Result<void> intend_file(const model::Lease& lease,
                                                   const model::FileKey& key) = 0;
    // Publishes: file live, job completed. kConflict: lease lost. kCancelled: a cancel came first;
    // call cancelled().
    [[nodiscard]] virtual Result<void> complete(const model::Lease& lease,
                                                const Completion& completion) = 0;
    // Puts the job back, due after `delay_us`, or fails it when `permanent` or its attempts are
    // used up; cancels it when that was asked for.
    [[nodiscard]] virtual Result<void> give_up_attempt(const model::Lease& lease,
                                                       std::string_view error, bool permanent,
                                                       std::int64_t delay_us) = 0;
    // Puts the job back as if it had not been claimed: the process is stopping. After
    // kJobInterruptionsMax times the attempt counts.
    [[nodiscard]] virtual Result<void> release(const model::Lease& lease) = 0;
    // The worker has stopped and cleaned up after a cancel request.
    [[nodiscard]] virtual Result<void> cancelled(const model::Lease& lease) = 0;

    // --- housekeeping ---
    // Intended by an attempt that has ended without publishing, or of a job that expired: the
    // holder of the lease of a running job keeps its own.
    [[nodiscard]] virtual Result<std::vector<UnpublishedFile>> unpublished_files() = 0;
    // The file is gone; forget it. A live one is not forgotten.
    [[nodiscard]] virtual Result<void> forget_file(const model::FileKey& key) = 0;
    // Is `key` of a job this registry knows, and neither published nor intended? Then no
    // job needs it.
    [[nodiscard]] virtual Result<bool> is_orphan(const model::FileKey& key,
                                                 std::string_view job_id) = 0;
    // Every job that was in progress under another instance becomes pending again (failed after
    // kJobCrashesMax deaths, cancelled when that was asked for). Returns how many there were. The
    // caller has proof that the other instances are dead.
    [[nodiscard]] virtual Result<std::size_t> rescue() = 0;
    // Fails what is past its deadline, and external jobs that were silent for longer than they
    // allow or than kExternalSilenceMax. At most kHousekeepingBatch for each of these reasons; how
    // many: to be called again until it is 0.
    [[nodiscard]] virtual Result<std::size_t> enforce_limits() = 0;
    // From now on, external jobs that say how long they may be silent are silent anew: while the
    // daemon was away no worker could report.
    [[nodiscard]] virtual Result<void> restart_silence() = 0;
    // May retention go by the wall clock? Yes when it is at most `tolerance` from the last yes,
    // which it then replaces; the first time it is yes. Otherwise retention is paused until the
    // clock is back or resume_retention() is called. To be asked before expire_files() and prune().
    [[nodiscard]] virtual Result<bool> check_retention_clock(std::chrono::seconds tolerance) = 0;
    // An operator says that the clock is right. False: retention was not paused.
    [[nodiscard]] virtual Result<bool> resume_retention() = 0;
    // nullopt: retention goes on.
    [[nodiscard]] virtual Result<std::optional<RetentionPause>> retention_pause() = 0;
    // Withdraws the files of jobs that ended `age` ago: no link is minted any more, and
    // unpublished_files() names them. At most kHousekeepingBatch; how many.
    [[nodiscard]] virtual Result<std::size_t> expire_files(std::chrono::seconds age) = 0;
    // How long ago the job of the oldest published file ended, on the wall clock, which may have
    // been set since; nullopt: there is no file.
    [[nodiscard]] virtual Result<std::optional<std::chrono::microseconds>> oldest_file_age() = 0;
    // Forgets jobs that ended `age` ago and have no file of ours left, with all about them, and
    // notices of that age. At most kHousekeepingBatch of each.
    [[nodiscard]] virtual Result<Pruned> prune(std::chrono::seconds age) = 0;
    // Files of finished jobs after `after`, by key; at most kFsckPage.
    [[nodiscard]] virtual Result<std::vector<PublishedFile>> published_files(
        const model::FileKey& after) = 0;
    // The file is lost: the job keeps its status, and no link is minted any more.
    [[nodiscard]] virtual Result<void> withdraw_file(const model::FileKey& key,
                                                     std::string_view reason) = 0;

    // --- notices ---
    // Those that were not published yet, oldest first, at most kNoticesPage.
    [[nodiscard]] virtual Result<std::vector<model::Notice>> unpublished_notices() = 0;
    [[nodiscard]] virtual Result<void> mark_published(std::int64_t last_sequence) = 0;
    // Those whose delivery is due, oldest first, at most kNoticesPage.
    [[nodiscard]] virtual Result<std::vector<model::Notice>> due_notices() = 0;
    enum class Delivery { kDone, kRetry, kGivenUp };
    [[nodiscard]] virtual Result<void> mark_delivery(std::int64_t sequence, Delivery delivery,
                                                     std::string_view answer,
                                                     std::int64_t delay_us) = 0;
    // Those after `after`, oldest first, at most kNoticesPage: for a subscriber that missed some.
    [[nodiscard]] virtual Result<Page<model::Notice>> notices(const model::OrganizationScope& scope,
                                                              std::int64_t after) = 0;

    [[nodiscard]] virtual Result<JobCounts> counts() = 0;
    // The `queues_max` longest queues, and the rest together.
    [[nodiscard]] virtual Result<WaitingJobs> waiting(std::size_t queues_max) = 0;
    // A copy of the registry as it is now, whole and consistent, at `path` (replaced). Errors:
    // kCancelled once `keep_going` returns false (null: to the end).
    [[nodiscard]] virtual Result<void> backup(const std::string& path,
                                              const std::function<bool()>& keep_going = {}) = 0;
    // Why the last write could not be made durable, in words; empty: it was. [any-thread]
    [[nodiscard]] virtual std::string problem() const = 0;
    // Commits that failed since the start. [any-thread]
    [[nodiscard]] virtual std::uint64_t write_errors() const = 0;
};

}  // namespace export_worker::jobs
