// Links and downloads, into PostgreSQL.
#pragma once

#include <span>

#include "daemon/jobs/job_accesses.hpp"
#include "daemon/jobs/postgres/job_database.hpp"

namespace export_worker::jobs::pg {

class PostgresJobAccesses final : public JobAccesses {
public:
    explicit PostgresJobAccesses(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<void> add(std::span<const JobAccess> accesses) override;

private:
    JobDatabase& database_;
};

}  // namespace export_worker::jobs::pg
