// What somebody else's worker reports about its job. Private to daemon/jobs/sqlite.
#pragma once

#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// `job` as it is now; it is external and has not ended. Errors: kInvalidArgument for metadata over
// its limits.
[[nodiscard]] Result<void> apply_report(sqlite::Connection& connection, const model::Job& job,
                                        const ProgressReport& report, std::string_view actor,
                                        const Now& now);

[[nodiscard]] Result<bool> is_last_report(sqlite::Connection& connection, std::string_view job_id,
                                          std::string_view report_id);

}  // namespace export_worker::jobs
