// Which change of a job its state allows, and what it makes of the job. The same for every
// database.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/job_requests.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/model/job.hpp"

namespace export_worker::jobs {

// Errors: kConflict, naming the state.
[[nodiscard]] Result<void> check_cancel(const model::Job& job);
[[nodiscard]] Result<void> check_retry(const model::Job& job);
// `held`: it is to be held, otherwise released.
[[nodiscard]] Result<void> check_hold(const model::Job& job, bool held);
// kInvalidArgument: two transitions; kConflict: the job has ended, its deadline has passed, or it
// is the daemon's.
[[nodiscard]] Result<void> check_report(const ProgressReport& report);
[[nodiscard]] Result<void> check_reportable(const model::Job& job, const Now& now);

// A job after a report of its worker; its entries are not among it.
struct ReportedJob {
    model::Job job;
    std::string file_url;
    std::string filename;
};
// `job` as it is now; check_reportable() holds. Errors: kInvalidArgument for metadata over its
// limits.
[[nodiscard]] Result<ReportedJob> with_report(model::Job job, const ProgressReport& report,
                                              const Now& now);

// An organization has worker's jobs of kJobTypesMax types, and none of the one that is asked for:
// kInvalidArgument.
[[nodiscard]] tl::unexpected<Error> too_many_job_types();
// A file has one owner. kInvalidArgument: `file_url` names the file of `job_id`, an export of the
// same organization, and a worker's job may not: links to it would outlive it.
[[nodiscard]] tl::unexpected<Error> names_export_of(std::string_view job_id);
[[nodiscard]] tl::unexpected<Error> not_found();
[[nodiscard]] tl::unexpected<Error> lease_lost(const model::Lease& lease);

}  // namespace export_worker::jobs
