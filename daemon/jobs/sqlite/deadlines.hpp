// Ends of jobs that no worker ended. Private to daemon/jobs/sqlite; each inside one transaction.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// None of the jobs has ended; at most kHousekeepingBatch. `why` is their error message.
[[nodiscard]] Result<void> fail_jobs(sqlite::Connection& connection,
                                     const std::vector<std::string>& job_ids, std::string_view why,
                                     std::string_view actor, const Now& now);
// Fails what is past its deadline, at most kHousekeepingBatch; how many.
[[nodiscard]] Result<std::size_t> fail_late(sqlite::Connection& connection, std::string_view actor,
                                            const Now& now);

}  // namespace export_worker::jobs
