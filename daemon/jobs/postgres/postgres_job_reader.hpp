// Reads of the job registry, from PostgreSQL.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "daemon/jobs/job_reader.hpp"
#include "daemon/jobs/postgres/file_cache.hpp"
#include "daemon/jobs/postgres/file_changes.hpp"
#include "daemon/jobs/postgres/job_database.hpp"
#include "daemon/jobs/unwritten_holds.hpp"
#include "daemon/postgres/lookups.hpp"

namespace export_worker::jobs::pg {

class PostgresJobReader final : public JobReader {
public:
    // All outlive it. `fenced`: the writes of this daemon's workers that came too late.
    // `lookup_cache`: as PostgresStoreOptions has it.
    PostgresJobReader(JobDatabase& database, const UnwrittenHolds& unwritten_holds,
                      const std::atomic<std::int64_t>& fenced, std::size_t lookup_cache);
    // From then on files are kept in memory. Once. Errors: those of reads.
    [[nodiscard]] Result<void> start();

    const std::string& registry_id() const override { return database_.registry_id(); }
    Result<model::Job> find(const model::OrganizationScope& scope,
                            std::string_view job_id) override;
    // A file that was withdrawn, perhaps by another daemon, is found for kFileCacheTime more.
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
    const std::size_t lookup_cache_;
    postgres::Lookups lookups_;
    FileCache files_;
    FileChanges file_changes_;
};

}  // namespace export_worker::jobs::pg
