// The job registry in one SQLite file.
#pragma once

#include <memory>
#include <string>

#include "base/clock.hpp"
#include "daemon/jobs/job_store.hpp"

namespace export_worker::jobs {

// Opens or creates the file. `clock` outlives the store. Errors: those of sqlite::Database::open().
[[nodiscard]] Result<std::unique_ptr<JobStore>> open_sqlite_job_store(const std::string& path,
                                                                      const Clock& clock);

}  // namespace export_worker::jobs
