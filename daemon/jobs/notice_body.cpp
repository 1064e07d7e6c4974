#include "daemon/jobs/notice_body.hpp"

#include "base/clock.hpp"
#include "base/crypto/uuid.hpp"
#include "base/json.hpp"
#include "base/shared_limits.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using nlohmann::json;

// A worker may put anything there; a notice is kept for every subscriber that reads slowly.
bool fits_notice(const json& value) {
    return value.is_number() || (value.is_string() && value.get_ref<const std::string&>().size() <=
                                                          limits::kFileUrlBytesMax);
}

json about_job(const Job& job) {
    const json metadata = parse_json(job.metadata_json);
    json about = {{"job_id", job.job_id},
                  {"job_type", job.job_type},
                  {"status", model::to_string(job.status)},
                  {"processed_items", job.processed_items},
                  {"total_items", job.total_items},
                  {"failed_items", job.failed_items},
                  {"warned_items", job.warned_items},
                  {"error_message", job.error_message.empty() ? json() : json(job.error_message)},
                  {"trace_id", job.trace_id.empty() ? json() : json(job.trace_id)}};
    // Never where the file lies: whoever may have it asks for a link.
    for (const char* name : {"filename", "bytes", "sha256", "rows", "format"}) {
        if (metadata.is_object() && metadata.contains(name) && fits_notice(metadata[name]))
            about[name] = metadata[name];
    }
    return about;
}

}  // namespace

model::Notice make_notice(const Job& job, const char* type, std::int64_t wall_us) {
    model::Notice notice;
    notice.event_id = crypto::make_uuid7(wall_us);
    notice.organization_id = job.organization_id;
    notice.job_id = job.job_id;
    notice.type = type;
    notice.at_us = wall_us;
    notice.body_json = dump_json({{"event_id", notice.event_id},
                                  {"type", type},
                                  {"organization_id", job.organization_id},
                                  {"created_at", to_iso8601(wall_us)},
                                  {"job", about_job(job)}});
    return notice;
}

EndKinds end_kinds(model::JobStatus status) {
    if (status == model::JobStatus::kFailed) return {"failed", "job.failed"};
    if (status == model::JobStatus::kCancelled) return {"cancelled", "job.cancelled"};
    return {"published", "job.completed"};
}

}  // namespace export_worker::jobs
