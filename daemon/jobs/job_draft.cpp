#include "daemon/jobs/job_draft.hpp"

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "daemon/jobs/job_metadata.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using nlohmann::json;

// The start on the steady timeline: as far from now as it is on the wall.
Result<std::int64_t> due_of(const NewJob& job, const Now& now) {
    if (!job.start_unix_us || *job.start_unix_us <= now.wall_us) return now.us;
    const std::int64_t ahead_us = *job.start_unix_us - now.wall_us;
    if (ahead_us > us_of(limits::kJobTimesMax))
        return fail(ErrorCode::kInvalidArgument,
                    "start_at: expected at most 366 days from now, found " +
                        to_iso8601(*job.start_unix_us) + "; give an earlier time");
    return now.us + ahead_us;
}

}  // namespace

std::string hash_of_request(json request) {
    request.erase("idempotency_key");
    return to_hex(crypto::sha256(dump_json(request)));
}

Result<JobDraft> draft_job(const NewJob& submitted, const std::string& job_id,
                           const JobPolicy& policy, const Now& now) {
    EW_TRY(const json metadata, parse_metadata(submitted.metadata_json));
    JobDraft draft;
    draft.file_url = text_in(metadata, "file_url").value_or("");
    draft.filename = text_in(metadata, "filename").value_or("");
    Job& job = draft.job;
    job.job_id = job_id;
    job.organization_id = submitted.organization_id;
    job.job_type = submitted.job_type;
    job.runner = submitted.runner;
    job.attempts_max = submitted.attempts_max > 0 ? submitted.attempts_max : policy.attempts_max;
    job.priority = submitted.priority;
    job.total_is_estimate = submitted.total_is_estimate;
    job.spec_json = submitted.spec_json;
    job.total_items = submitted.total_items;
    job.metadata_json = submitted.metadata_json;
    job.triggered_by =
        submitted.triggered_by.empty() ? submitted.submitted_by : submitted.triggered_by;
    job.trace_id = submitted.trace_id;
    job.created_us = now.wall_us;
    job.start_us = submitted.start_unix_us;
    EW_TRY(job.due_us, due_of(submitted, now));
    if (submitted.silence_limit) job.silence_us = us_of(*submitted.silence_limit);
    if (submitted.deadline) job.deadline_us = job.due_us + us_of(*submitted.deadline);
    return draft;
}

}  // namespace export_worker::jobs
