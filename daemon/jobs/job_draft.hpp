// What a caller submits, and the job that comes of it before it is stored.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::jobs {

// What the store decides by itself.
struct JobPolicy {
    int attempts_max = limits::kJobAttemptsDefault;  // Of a job that does not say.
    // Jobs of one organization that run at the same time, where the organization has no number of
    // its own.
    int organization_running_max = limits::kOrganizationRunningDefault;
    std::string version;       // Of this program, for the list of instances.
    bool runs_exports = true;  // Whether the daemon has workers, for why a job waits.
    std::string boot_id = {};  // Of this boot of the machine; empty: the kernel's.
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

// A job that is not stored yet, and what is stored beside it.
struct JobDraft {
    model::Job job;
    std::string file_url;
    std::string filename;
};

// The job that `submitted` asks for. Errors: kInvalidArgument (metadata, start).
[[nodiscard]] Result<JobDraft> draft_job(const NewJob& submitted, const std::string& job_id,
                                         const JobPolicy& policy, const Now& now);

}  // namespace export_worker::jobs
