// The job registry in a PostgreSQL schema that several daemons share.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>

#include "base/clock.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::jobs {

struct PostgresStoreOptions {
    postgres::DatabaseOptions database;
    // A daemon that has not renewed its lease for so long is over, and its jobs run elsewhere.
    std::chrono::seconds lease_length = limits::kLeaseLengthDefault;
    // Files of finished jobs that are kept in memory for links; at most kFileCacheBytesMax, 0:
    // none.
    std::size_t lookup_cache = limits::kFileCacheEntriesDefault;
};

// Brings the schema up to date, and enters this process into its list of instances, which a thread
// of the store keeps up. `clock` outlives the store; it says when to renew, and no time in a row.
// backup() and compact() are PostgreSQL's own: kFailedPrecondition. Errors: those of
// postgres::Database::open().
[[nodiscard]] Result<std::unique_ptr<JobStore>> open_postgres_job_store(
    const PostgresStoreOptions& options, const Clock& clock, const JobPolicy& policy = {});

}  // namespace export_worker::jobs
