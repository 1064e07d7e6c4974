// Reads of the job registry, from PostgreSQL.
#pragma once

#include <atomic>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/jobs/job_reader.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/jobs/unwritten_holds.hpp"

namespace export_worker::jobs::pg {

class PostgresJobReader final : public JobReader {
public:
    // All outlive it. `fenced`: the writes of this daemon's workers that came too late.
    PostgresJobReader(JobDatabase& database, const UnwrittenHolds& unwritten_holds,
                      const std::atomic<std::int64_t>& fenced)
        : database_(database), unwritten_holds_(unwritten_holds), fenced_(fenced) {}

    const std::string& registry_id() const override { return database_.registry_id(); }
    Result<model::Job> find(const model::OrganizationScope& scope,
                            std::string_view job_id) override;
    Result<void> find_file(const model::OrganizationScope& scope, std::string_view job_id,
                           model::JobFile& file) override;
    Result<JobPage> list(const model::OrganizationScope& scope, const JobFilter& filter) override;
    Result<Page<model::JobEvent>> events(const model::OrganizationScope& scope,
                                         std::string_view job_id, std::int64_t after) override;
    Result<Page<model::Notice>> notices(const model::OrganizationScope& scope,
                                        std::int64_t after) override;
    Result<JobCounts> counts() override;
    Result<WaitingJobs> waiting(std::size_t queues_max) override;

private:
    JobDatabase& database_;
    const UnwrittenHolds& unwritten_holds_;
    const std::atomic<std::int64_t>& fenced_;
};

}  // namespace export_worker::jobs::pg
