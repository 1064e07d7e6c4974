#include "daemon/jobs/sqlite/access_rows.hpp"

#include <optional>
#include <string>

#include "daemon/jobs/event_page.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

// The first day from `day` on that has any; nullopt: none has.
Result<std::optional<std::int64_t>> day_from(Connection& connection, std::int64_t day) {
    Statement row = connection.statement("SELECT min(day) FROM job_access WHERE day >= ?1");
    EW_TRY(const bool found, row.bind(day).step());
    return found ? row.optional_integer(0) : std::nullopt;
}

Result<std::vector<model::JobEvent>> read_events(Connection& connection, std::string_view job_id,
                                                 std::int64_t after) {
    Statement rows = connection.statement(
        "SELECT number, at_us, kind, actor, detail, count FROM job_event WHERE job_id = ?1 "
        "AND number > ?2 ORDER BY number LIMIT ?3");
    rows.bind(job_id, after, kEventRowsMax);
    return sqlite::read_all(rows, [](const Statement& row) {
        return model::JobEvent{row.integer(0),
                               row.integer(1),
                               row.string(2),
                               row.string(3),
                               row.string(4),
                               row.integer(5),
                               ""};
    });
}

Result<std::vector<model::JobEvent>> read_accesses(Connection& connection, std::string_view job_id,
                                                   std::int64_t created_us, std::int64_t after) {
    EW_TRY(std::optional<std::int64_t> day, day_from(connection, created_us / kDayUs));
    std::vector<model::JobEvent> out;
    while (day && out.size() < kEventRowsMax) {
        {
            Statement rows = connection.statement(
                "SELECT access_id, at_us, kind, actor, count FROM job_access WHERE day = ?1 AND "
                "job_id = ?2 AND access_id > ?3 ORDER BY access_id LIMIT ?4");
            rows.bind(*day, job_id, after, kEventRowsMax);
            EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
                out.push_back({row.integer(0), row.integer(1), row.string(2), row.string(3), "",
                               row.integer(4), ""});
            }));
        }
        EW_TRY(day, day_from(connection, *day + 1));
    }
    return out;
}

}  // namespace

Result<void> count_accesses(Connection& connection, std::span<const JobAccess> accesses,
                            const Now& now) {
    for (const JobAccess& access : accesses) {
        EW_CHECK(connection
                     .statement("INSERT INTO job_access (day, job_id, minute, kind, actor, at_us, "
                                "count) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7) ON CONFLICT (day, "
                                "job_id, minute, kind, actor) DO UPDATE SET count = count + ?7, "
                                "at_us = ?6")
                     .bind(now.wall_us / kDayUs, access.job_id, now.wall_us / kMinuteUs,
                           access.kind, access.actor, now.wall_us, access.count)
                     .run());
    }
    return {};
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
    EW_CHECK(connection
                 .statement("DELETE FROM job_access WHERE access_id IN (SELECT access_id FROM "
                            "job_access WHERE day < ?1 ORDER BY day LIMIT ?2)")
                 .bind(before_us / kDayUs, static_cast<std::int64_t>(limits::kHousekeepingBatch))
                 .run());
    return static_cast<std::size_t>(connection.changes());
}

}  // namespace export_worker::jobs
