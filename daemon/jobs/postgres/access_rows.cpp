#include "daemon/jobs/postgres/access_rows.hpp"

#include <string>
#include <vector>

#include "daemon/jobs/event_page.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/job_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

model::JobEvent read_event(const Row& row) {
    return {row.integer(0),
            row.unix_us(1),
            row.string(2),
            row.string(3),
            row.string(4),
            row.integer(5),
            ""};
}

Result<std::vector<model::JobEvent>> read_events(Connection& connection, std::string_view job_id,
                                                 std::int64_t after) {
    EW_TRY(const Rows rows,
           connection.query("SELECT number, at, kind, actor, detail, count FROM job_event WHERE "
                            "job_id = $1 AND number > $2 ORDER BY number LIMIT $3",
                            job_id, after, kEventRowsMax));
    return rows.each(read_event);
}

// The rows of a day lie together whatever job they are of: each day is looked into.
Result<std::vector<model::JobEvent>> read_accesses(Connection& connection, std::string_view job_id,
                                                   std::int64_t created_us, std::int64_t after) {
    EW_TRY(const Rows rows,
           connection.query(
               "WITH RECURSIVE days (day) AS (SELECT min(day) FROM job_access WHERE day >= $2 "
               "UNION ALL SELECT (SELECT min(day) FROM job_access WHERE job_access.day > days.day) "
               "FROM days WHERE day IS NOT NULL) "
               "SELECT access_id, at, kind, actor, '', count FROM days CROSS JOIN LATERAL (SELECT "
               "* FROM job_access WHERE job_access.day = days.day AND job_id = $1 AND access_id > "
               "$3) AS found ORDER BY access_id LIMIT $4",
               job_id, created_us / kDayUs, after, kEventRowsMax));
    return rows.each(read_event);
}

}  // namespace

Result<void> count_accesses(Connection& connection, std::span<const JobAccess> accesses,
                            const Now& now) {
    std::vector<std::string> jobs;
    std::vector<std::string> kinds;
    std::vector<std::string> actors;
    std::vector<std::int64_t> counts;
    for (const JobAccess& access : accesses) {
        jobs.push_back(access.job_id);
        kinds.push_back(access.kind);
        actors.push_back(access.actor);
        counts.push_back(access.count);
    }
    // In the order of the index, so that two daemons do not wait for each other.
    return connection.change(
        "INSERT INTO job_access (day, job_id, minute, kind, actor, at, count) SELECT $5, job_id, "
        "$6, kind, actor, $7, sum(count) FROM unnest($1::text[], $2::text[], $3::text[], "
        "$4::bigint[]) AS a (job_id, kind, actor, count) GROUP BY job_id, kind, actor ORDER BY "
        "job_id, kind, actor ON CONFLICT (day, job_id, minute, kind, "
        "hashtextextended(actor, 0)) DO UPDATE SET count = job_access.count + excluded.count, at = "
        "excluded.at",
        jobs, kinds, actors, counts, now.wall_us / kDayUs, now.wall_us / kMinuteUs,
        UnixTime{now.wall_us});
}

Result<Page<model::JobEvent>> events_after(Connection& connection,
                                           const model::OrganizationScope& scope,
                                           std::string_view job_id, std::int64_t after) {
    EW_TRY(const model::Job job, load_row(connection, scope, job_id));
    return event_page(
        after, job.trace_id,
        [&](std::int64_t event) { return read_events(connection, job_id, event); },
        [&](std::int64_t access) {
            return read_accesses(connection, job_id, job.created_us, access);
        });
}

Result<std::size_t> forget_accesses(Connection& connection, std::int64_t before_us) {
    EW_TRY(const Rows forgotten,
           connection.query(
               "DELETE FROM job_access WHERE access_id IN (SELECT access_id FROM job_access WHERE "
               "day < $1 ORDER BY day LIMIT $2 FOR UPDATE SKIP LOCKED)",
               before_us / kDayUs, static_cast<std::int64_t>(limits::kHousekeepingBatch)));
    return static_cast<std::size_t>(forgotten.changed());
}

}  // namespace export_worker::jobs::pg
