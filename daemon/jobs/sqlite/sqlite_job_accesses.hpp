// Links and downloads, into jobs.db.
#pragma once

#include <span>

#include "daemon/jobs/job_accesses.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"

namespace export_worker::jobs {

class SqliteJobAccesses final : public JobAccesses {
public:
    explicit SqliteJobAccesses(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<void> add(std::span<const JobAccess> accesses) override;

private:
    JobDatabase& database_;
};

}  // namespace export_worker::jobs
