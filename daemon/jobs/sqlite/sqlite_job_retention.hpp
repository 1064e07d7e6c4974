// What time does to jobs, in jobs.db.
#pragma once

#include <chrono>
#include <cstddef>
#include <optional>

#include "daemon/jobs/job_retention.hpp"
#include "daemon/jobs/sqlite/job_database.hpp"

namespace export_worker::jobs {

class SqliteJobRetention final : public JobRetention {
public:
    explicit SqliteJobRetention(JobDatabase& database) : database_(database) {}  // Outlives it.

    Result<std::size_t> enforce_limits() override;
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

}  // namespace export_worker::jobs
