#include "daemon/jobs/postgres/job_database.hpp"

#include "daemon/jobs/postgres/job_schema.hpp"
#include "daemon/jobs/postgres/settings.hpp"

namespace export_worker::jobs::pg {

using postgres::Connection;
using postgres::Rows;

Result<std::unique_ptr<JobDatabase>> JobDatabase::open(const PostgresStoreOptions& options,
                                                       cluster::Membership& membership,
                                                       const Clock& clock,
                                                       const JobPolicy& policy) {
    EW_TRY(
        std::unique_ptr<postgres::Database> database,
        postgres::Database::open(options.database, {.component = "jobs", .steps = kJobMigrations}));
    std::unique_ptr<JobDatabase> out(
        new JobDatabase(std::move(database), membership, clock, policy));
    EW_CHECK(out->read_registry_id());
    EW_CHECK(out->begin_last_run());
    return out;
}

Result<void> JobDatabase::read_registry_id() {
    EW_TRY(registry_id_, read([](Connection& connection) -> Result<std::string> {
               EW_TRY(const Rows rows, connection.query("SELECT registry_id FROM registry"));
               if (rows.size() != 1)
                   return fail(ErrorCode::kDataLoss,
                               "PostgreSQL: expected one row in table registry, found " +
                                   std::to_string(rows.size()) + "; restore a backup");
               return rows.front().string(0);
           }));
    return {};
}

// A new registry's life begins now: a clock that is set before retention looks at it for the first
// time is compared with this.
Result<void> JobDatabase::begin_last_run() {
    return write_until_known([](Connection& connection, const Now& now) {
        return connection.change(
            "INSERT INTO setting VALUES ($1, $2) ON CONFLICT (name) DO NOTHING", kLastRun,
            now.wall_us);
    });
}

}  // namespace export_worker::jobs::pg
