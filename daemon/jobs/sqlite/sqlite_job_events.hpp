// Events of links and downloads, into jobs.db.
#pragma once

#include <span>

#include "daemon/jobs/job_events.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"

namespace export_worker::jobs {

class SqliteJobEvents final : public JobEvents {
public:
    explicit SqliteJobEvents(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<void> add_events(std::span<const NewEvent> events) override;

private:
    JobDatabase& database_;
};

}  // namespace export_worker::jobs
