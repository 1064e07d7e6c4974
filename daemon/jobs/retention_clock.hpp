// Whether the wall clock may be believed before retention deletes by it: the last time the daemon
// ran is kept in jobs.db. Private to daemon/jobs.
#pragma once

#include <chrono>
#include <optional>

#include "base/result.hpp"
#include "daemon/jobs/job_rows.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// As JobStore has them.
[[nodiscard]] Result<bool> check_retention_clock(sqlite::Connection& connection,
                                                 std::chrono::seconds tolerance, const Now& now);
[[nodiscard]] Result<bool> resume_retention(sqlite::Connection& connection, const Now& now);
// nullopt: retention does not wait.
[[nodiscard]] Result<std::optional<RetentionPause>> retention_pause(sqlite::Connection& connection);

}  // namespace export_worker::jobs
