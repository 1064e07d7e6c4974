// The job registry in a PostgreSQL schema that several daemons share.
#pragma once

#include <cstddef>
#include <memory>

#include "base/clock.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::jobs {

struct PostgresStoreOptions {
    postgres::DatabaseOptions database;  // The schema is that of the membership.
    // Files of finished jobs that are kept in memory for links; at most kFileCacheBytesMax, 0:
    // none.
    std::size_t lookup_cache = limits::kFileCacheEntriesDefault;
};

// Brings the schema up to date. What the store claims, `membership` owns: it outlives the store, as
// `clock` does, of which no time gets into a row. backup() and compact() are PostgreSQL's own:
// kFailedPrecondition. Errors: those of postgres::Database::open().
[[nodiscard]] Result<std::unique_ptr<JobStore>> open_postgres_job_store(
    const PostgresStoreOptions& options, cluster::Membership& membership, const Clock& clock,
    const JobPolicy& policy = {});

}  // namespace export_worker::jobs
