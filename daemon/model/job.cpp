#include "daemon/model/job.hpp"

#include <array>

#include "base/json.hpp"
#include "base/json_fields.hpp"

namespace export_worker::model {
namespace {

constexpr std::array<std::string_view, kJobStatuses> kStatusNames{
    "pending",         "in_progress", "completed", "completed_with_warnings",
    "partial_success", "failed",      "cancelled"};

}  // namespace

std::string_view to_string(JobStatus status) {
    return kStatusNames[static_cast<std::size_t>(status)];
}

std::optional<JobStatus> parse_job_status(std::string_view text) {
    for (std::size_t index = 0; index < kStatusNames.size(); ++index) {
        if (kStatusNames[index] == text) return static_cast<JobStatus>(index);
    }
    return std::nullopt;
}

std::string_view to_string(JobPriority priority) {
    return kJobPriorities[static_cast<std::size_t>(priority)];
}

std::string_view to_string(WaitingReason reason) {
    return kWaitingReasons[static_cast<std::size_t>(reason)];
}

nlohmann::json to_json(const Notice& notice) {
    nlohmann::json out = parse_json(notice.body_json);
    if (!out.is_object()) out = nlohmann::json::object();
    out["sequence"] = notice.sequence;
    return out;
}

std::string trace_id_of(const nlohmann::json& notice) {
    const auto job = notice.find("job");
    if (job == notice.end() || !job->is_object()) return "";
    return text_in(*job, "trace_id").value_or("");
}

bool is_final(JobStatus status) {
    return status != JobStatus::kPending && status != JobStatus::kInProgress;
}

bool is_export_type(std::string_view job_type) {
    return job_type == kExportJobType || job_type == "export" || job_type == "product_export";
}

}  // namespace export_worker::model
