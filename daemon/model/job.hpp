// A job: what was asked for, how far it is, and where its file lies.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

namespace export_worker::model {

enum class JobStatus {
    kPending,
    kInProgress,
    kCompleted,
    kCompletedWithWarnings,
    kPartialSuccess,
    kFailed,
    kCancelled,
};

inline constexpr std::size_t kJobStatuses = static_cast<std::size_t>(JobStatus::kCancelled) + 1;
// As on the wire: "in_progress".
[[nodiscard]] std::string_view to_string(JobStatus status);
[[nodiscard]] std::optional<JobStatus> parse_job_status(std::string_view text);
[[nodiscard]] bool is_final(JobStatus status);

// The type of a job made by exports.submit.
inline constexpr std::string_view kExportJobType = "BULK_EXPORT";
// Does a job of this type produce an export file? "BULK_EXPORT", "export", "product_export" do.
[[nodiscard]] bool is_export_type(std::string_view job_type);

enum class JobRunner {
    kDaemon,    // Our own export workers.
    kExternal,  // A worker of the caller's, reporting through jobs.report_progress.
};

// Which of an organization's own jobs goes first.
enum class JobPriority { kLow, kNormal, kHigh };
inline constexpr std::array<std::string_view, 3> kJobPriorities{"low", "normal", "high"};
[[nodiscard]] std::string_view to_string(JobPriority priority);  // "normal"

// Why a pending job does not run.
enum class WaitingReason {
    kHeld,                 // By itself: jobs.release lets it go.
    kNotYetDue,            // Its start lies ahead.
    kRetryLater,           // An attempt has failed; the next one is not due yet.
    kOrganizationHeld,     // All jobs of its organization are.
    kOverQuota,            // Its organization stores as many bytes as it may.
    kOrganizationAtLimit,  // As many jobs of its organization run as may.
    kNoWorkerFree,         // The daemon's workers have others to run.
    kNoWorkers,            // This daemon runs no exports.
    kExternalWorker,       // A worker of the caller's has not begun it.
};
inline constexpr std::array<std::string_view, 9> kWaitingReasons{
    "held",           "not_yet_due",           "retry_later",    "organization_held",
    "over_quota",     "organization_at_limit", "no_worker_free", "no_workers",
    "external_worker"};
[[nodiscard]] std::string_view to_string(WaitingReason reason);

// One error or warning, as reported.
struct JobEntry {
    std::string entity_key;
    std::string entity_type = "job";
    std::string error_type;
    std::string message;
    std::string details_json;  // An object, or empty.
    std::string step;
    std::int64_t at_us = 0;
};

struct Job {
    std::string job_id;
    std::string organization_id;
    std::string job_type;
    JobRunner runner = JobRunner::kDaemon;
    JobStatus status = JobStatus::kPending;
    std::int64_t epoch = 0;  // Raised by every claim.
    int attempt = 0;
    int attempts_max = 0;
    int crashes = 0;        // Deaths of the daemon while it ran this job.
    int interruptions = 0;  // Attempts given back because the daemon stopped.
    JobPriority priority = JobPriority::kNormal;
    bool held = false;  // Pending, and not to be started.
    bool cancel_requested = false;
    bool total_is_estimate = false;
    std::string spec_json;  // What to do, for the runner.
    std::int64_t total_items = 0;
    std::int64_t processed_items = 0;
    std::int64_t failed_items = 0;
    std::int64_t warned_items = 0;
    std::string stage;
    std::string message;
    std::string metadata_json = "{}";
    std::string error_message;
    std::string triggered_by;
    std::string trace_id;  // Of the request that made it, 32 hex digits; empty: it had none.
    std::int64_t created_us = 0;
    std::optional<std::int64_t> started_us;
    std::optional<std::int64_t> completed_us;
    std::optional<std::int64_t> expired_us;   // Its file was deleted because it had become old.
    std::optional<std::int64_t> start_us;     // The start that was asked for.
    std::int64_t due_us = 0;                  // Not started before; of the registry's own time.
    std::optional<std::int64_t> deadline_us;  // On the wall clock of now.
    std::optional<std::int64_t> silence_us;   // Of an external job, between two reports.
    std::optional<WaitingReason> waiting_because;  // Of a pending one.
    std::vector<JobEntry> errors;                  // Filled in by find(), not by list().
    std::vector<JobEntry> warnings;
};

// What minting a link needs to know of a job. Reused from request to request: assigning keeps the
// buffers.
struct JobFile {
    std::string organization_id;
    std::string job_type;
    std::string status;
    std::string file_url;
    std::string filename;
    std::string content_type;  // As the metadata says it, like sha256; unchecked.
    std::string sha256;
};

// What happened to a job, in order; only ever added to.
struct JobEvent {
    std::int64_t number = 0;
    std::int64_t at_us = 0;
    std::string kind;   // "submitted", "claimed", "published", "link_minted", ...
    std::string actor;  // Key id, "operator", or the daemon's instance.
    std::string detail;
    std::int64_t count = 1;  // The same again and again is one event.
    std::string trace_id;    // The job's.
};

// What the outside is told once a job has ended. `sequence` grows by one; it is never used again.
struct Notice {
    std::int64_t sequence = 0;
    std::string event_id;
    std::string organization_id;
    std::string job_id;
    std::string type;  // "job.completed", "job.failed", "job.cancelled", "job.expired"
    std::string body_json;
    std::int64_t at_us = 0;
    int attempts = 0;
};

// The notice as subscribers, webhooks and jobs.notices have it: its body, and the sequence.
[[nodiscard]] nlohmann::json to_json(const Notice& notice);
// The job's trace id in a notice's JSON; empty: it has none.
[[nodiscard]] std::string trace_id_of(const nlohmann::json& notice);

// The right to run a job: every write of a worker carries it, and fails once the job has another
// epoch or was claimed anew.
struct Lease {
    bool operator==(const Lease&) const = default;

    std::string job_id;
    std::int64_t epoch = 0;
    // Of this claim alone, 16 hex digits: two attempts never share it, not even after a failover or
    // a restored backup has taken the epoch back.
    std::string claim_token;
};

}  // namespace export_worker::model
