// A job: what was asked for, how far it is, and where its file lies.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

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
    kExternal,  // Somebody else's, reporting through jobs.report_progress.
};

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
    bool cancel_requested = false;
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
    std::int64_t created_us = 0;
    std::optional<std::int64_t> started_us;
    std::optional<std::int64_t> completed_us;
    std::vector<JobEntry> errors;  // Filled in by find(), not by list().
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
};

// The right to run a job: every write of a worker carries it, and fails once the job has a higher
// epoch.
struct Lease {
    std::string job_id;
    std::int64_t epoch = 0;
};

}  // namespace export_worker::model
