// What time does to jobs, in PostgreSQL. Each daemon of a database may do it: what one works on,
// the others pass by.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "daemon/jobs/job_retention.hpp"
#include "daemon/jobs/postgres/job_database.hpp"

namespace export_worker::jobs::pg {

class PostgresJobRetention final : public JobRetention {
public:
    explicit PostgresJobRetention(JobDatabase& database) : database_(database) {}  // Outlives it.

    // Also adds up changes of the numbers of jobs, and forgets old changes of files.
    Result<std::size_t> enforce_limits() override;
    // Only while no other daemon lives: workers could report to that one.
    Result<void> restart_silence(const std::function<bool()>& keep_going) override;
    Result<bool> check_retention_clock(std::chrono::seconds tolerance) override;
    Result<bool> resume_retention() override;
    Result<std::optional<RetentionPause>> retention_pause() override;
    Result<std::size_t> expire_files(std::chrono::seconds age) override;
    Result<Pruned> prune(std::chrono::seconds age) override;
    Result<RetentionBacklog> retention_backlog(std::chrono::seconds file_age,
                                               std::chrono::seconds job_age) override;

private:
    JobDatabase& database_;
};

}  // namespace export_worker::jobs::pg
