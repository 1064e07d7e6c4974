#include "daemon/jobs/sqlite/job_database.hpp"

#include <unistd.h>

#include <chrono>
#include <optional>

#include "base/crypto/uuid.hpp"
#include "daemon/jobs/sqlite/job_schema.hpp"
#include "daemon/jobs/sqlite/settings.hpp"

namespace export_worker::jobs {

using sqlite::Connection;
using sqlite::Statement;

namespace {

// A new registry's life begins now: a clock that is set before retention looks at it for the first
// time is compared with this.
Result<void> begin_last_run(Connection& connection, const Now& at) {
    EW_TRY(const std::optional<std::int64_t> last_us, read_setting(connection, kLastRun));
    if (last_us) return {};
    return write_setting(connection, kLastRun, at.wall_us);
}

}  // namespace

JobDatabase::JobDatabase(std::unique_ptr<sqlite::Database> database, const Clock& clock,
                         JobPolicy policy)
    : clock_(clock),
      policy_(std::move(policy)),
      instance_id_(crypto::make_uuid7(clock.unix_us())),
      database_(std::move(database)) {}

Result<std::unique_ptr<JobDatabase>> JobDatabase::open(const std::string& path, const Clock& clock,
                                                       const JobPolicy& policy,
                                                       sqlite::Durability durability) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kJobApplicationId,
                                   .migrations = kJobMigrations,
                                   .durability = durability}));
    std::unique_ptr<JobDatabase> out(new JobDatabase(std::move(database), clock, policy));
    EW_CHECK(out->read_registry_id());
    EW_CHECK(out->enter_instance());
    return out;
}

Result<void> JobDatabase::read_registry_id() {
    EW_TRY(registry_id_, read([](Connection& connection) -> Result<std::string> {
               Statement row = connection.statement("SELECT registry_id FROM registry");
               EW_TRY(const bool found, row.step());
               if (!found)
                   return fail(ErrorCode::kDataLoss,
                               "jobs.db: expected a row in table registry, found none; restore "
                               "a backup");
               return row.string(0);
           }));
    return {};
}

// A number of its own for every start: process ids come again, and so do boots. All lives before
// this one are over: the lock of the directory is this process's.
Result<void> JobDatabase::enter_instance() {
    const std::string boot_id = policy_.boot_id.empty() ? kernel_boot_id() : policy_.boot_id;
    return database_->write([&](Connection& connection) -> Result<void> {
        EW_TRY(time_offset_us_, open_time_line(connection, clock_, boot_id));
        const Now at = now();
        EW_TRY(rescheduled_to_, reschedule_after(connection, SchedulePlace(), at));
        EW_CHECK(begin_last_run(connection, at));
        EW_CHECK(connection.statement("UPDATE instance SET ended_us = ?1 WHERE ended_us IS NULL")
                     .bind(at.wall_us)
                     .run());
        EW_CHECK(connection
                     .statement("INSERT INTO instance (instance_id, pid, boot_id, version, "
                                "started_us) VALUES (?1, ?2, ?3, ?4, ?5)")
                     .bind(instance_id_, static_cast<std::int64_t>(::getpid()), boot_id,
                           policy_.version, at.wall_us)
                     .run());
        return connection
            .statement(
                "DELETE FROM instance WHERE started_us < ?1 AND instance_id NOT IN "
                "(SELECT owner FROM job WHERE status = 'in_progress' AND runner = 'daemon')")
            .bind(at.wall_us - us_of(limits::kJobTimesMax))
            .run();
    });
}

Result<void> JobDatabase::finish_rescheduling() {
    const std::lock_guard lock(rescheduling_);
    while (rescheduled_to_) {
        EW_TRY(rescheduled_to_, write_until_known([&](Connection& connection, const Now& at) {
                   return reschedule_after(connection, *rescheduled_to_, at);
               }));
    }
    return {};
}

Now JobDatabase::now() const {
    const auto steady =
        std::chrono::duration_cast<std::chrono::microseconds>(clock_.steady().time_since_epoch());
    return {time_offset_us_ + steady.count(), clock_.unix_us()};
}

std::int64_t JobDatabase::wall_of(std::int64_t us) const {
    const Now at = now();
    return at.wall_us - (at.us - us);
}

}  // namespace export_worker::jobs
