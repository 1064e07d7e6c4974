// Jobs as the public API shows them, and reports as it takes them.
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"
#include "daemon/jobs/job_reader.hpp"
#include "daemon/jobs/job_requests.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::server {

// The whole job object, with its first errors and warnings: at most kJobEntriesShownMax of each and
// kJobEntriesShownBytesMax of their texts. Fits a reply for every job within the limits.
[[nodiscard]] nlohmann::json to_json(const model::Job& job);
// What a poller needs: id, status, counts, stage, message.
[[nodiscard]] nlohmann::json to_status_json(const model::Job& job);
[[nodiscard]] nlohmann::json to_json(const model::JobEvent& event);
// `after` of jobs.events and jobs.notices; 0 when absent.
[[nodiscard]] Result<std::int64_t> parse_after(const nlohmann::json& params);
// The body of jobs.create. Errors: kInvalidArgument, naming the field; unknown fields are errors.
[[nodiscard]] Result<jobs::NewJob> parse_new_job(const nlohmann::json& body);
// The body of jobs.report_progress, less job_id. Errors: as above.
[[nodiscard]] Result<jobs::ProgressReport> parse_report(const nlohmann::json& body);
// The parameters of jobs.list.
[[nodiscard]] Result<jobs::JobFilter> parse_filter(const nlohmann::json& params);

}  // namespace export_worker::server
