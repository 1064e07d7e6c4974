#include "daemon/jobs/sqlite/access_rows.hpp"

#include <optional>
#include <string>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/job_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr std::int64_t kMinuteUs = 60'000'000;
constexpr std::int64_t kDayUs = 24 * 60 * kMinuteUs;
// One more than a page has, so that the last tells whether more follow.
constexpr auto kRowsMax = static_cast<std::int64_t>(limits::kJobEventsPage) + 1;

// The first day from `day` on that has any; nullopt: none has.
Result<std::optional<std::int64_t>> day_from(Connection& connection, std::int64_t day) {
    Statement row = connection.statement("SELECT min(day) FROM job_access WHERE day >= ?1");
    EW_TRY(const bool found, row.bind(day).step());
    return found ? row.optional_integer(0) : std::nullopt;
}

// A place in the list of a job's events: behind so many of what it went through and behind this row
// of job_access.
struct Place {
    static constexpr int kEventBits = 20;
    std::int64_t event = 0;
    std::int64_t access = 0;
    explicit Place(std::int64_t number)
        : event(number & ((std::int64_t{1} << kEventBits) - 1)), access(number >> kEventBits) {}
    [[nodiscard]] std::int64_t number() const { return (access << kEventBits) | event; }
};

Result<std::vector<model::JobEvent>> read_events(Connection& connection, std::string_view job_id,
                                                 std::int64_t after) {
    Statement rows = connection.statement(
        "SELECT number, at_us, kind, actor, detail, count FROM job_event WHERE job_id = ?1 "
        "AND number > ?2 ORDER BY number LIMIT ?3");
    rows.bind(job_id, after, kRowsMax);
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
    while (day && out.size() < kRowsMax) {
        {
            Statement rows = connection.statement(
                "SELECT access_id, at_us, kind, actor, count FROM job_access WHERE day = ?1 AND "
                "job_id = ?2 AND access_id > ?3 ORDER BY access_id LIMIT ?4");
            rows.bind(*day, job_id, after, kRowsMax);
            EW_CHECK(sqlite::for_each_row(rows, [&](const Statement& row) {
                out.push_back({row.integer(0), row.integer(1), row.string(2), row.string(3), "",
                               row.integer(4), ""});
            }));
        }
        EW_TRY(day, day_from(connection, *day + 1));
    }
    return out;
}

// Adds `events` to the page, as far as it has room; false: it is full.
bool add_to_page(std::vector<model::JobEvent> events, std::size_t& bytes,
                 Page<model::JobEvent>& page) {
    for (model::JobEvent& event : events) {
        page.more = true;
        bytes += event.actor.size() + event.detail.size();
        const bool full =
            page.items.size() == limits::kJobEventsPage || bytes > limits::kJobsPageBytesMax;
        if (full && !page.items.empty()) return false;
        page.items.push_back(std::move(event));
    }
    page.more = false;
    return true;
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
    Place place(after);
    EW_TRY(std::vector<model::JobEvent> events, read_events(connection, job_id, place.event));
    for (model::JobEvent& event : events) {
        place.event = event.number;
        event.number = place.number();
    }
    Page<model::JobEvent> page;
    std::size_t bytes = 0;
    if (!add_to_page(std::move(events), bytes, page)) return page;
    EW_TRY(std::vector<model::JobEvent> accesses,
           read_accesses(connection, job_id, job.created_us, place.access));
    for (model::JobEvent& access : accesses) {
        place.access = access.number;
        access.number = place.number();
    }
    add_to_page(std::move(accesses), bytes, page);
    for (model::JobEvent& event : page.items) event.trace_id = job.trace_id;
    return page;
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
