#include "daemon/jobs/postgres/notice_rows.hpp"

#include <string>
#include <vector>

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;
using postgres::UnixTime;

constexpr int kBodyColumn = 5;

model::Notice read_notice(const Row& row) {
    return {
        row.integer(0), row.string(1),           row.string(2),  row.string(3),
        row.string(4),  row.string(kBodyColumn), row.unix_us(6), static_cast<int>(row.integer(7))};
}

Result<bool> has_unnumbered(Connection& connection) {
    EW_TRY(const Rows rows,
           connection.query("SELECT 1 FROM notice WHERE sequence IS NULL LIMIT 1"));
    return !rows.empty();
}

Result<void> number_some(Connection& connection) {
    // A statement of its own, so that the next one sees all that was numbered before it.
    EW_TRY(const Rows locked, connection.query("SELECT last FROM notice_number FOR UPDATE"));
    if (locked.empty())
        return fail(ErrorCode::kDataLoss, "PostgreSQL: table notice_number is empty");
    const std::int64_t last = locked.front().integer(0);
    EW_TRY(const Rows numbered,
           connection.query(
               "UPDATE notice SET sequence = $1 + fresh.place FROM (SELECT notice_id, "
               "row_number() OVER (ORDER BY notice_id) AS place FROM (SELECT notice_id FROM notice "
               "WHERE sequence IS NULL ORDER BY notice_id LIMIT $2) AS first) AS fresh WHERE "
               "notice.notice_id = fresh.notice_id",
               last, static_cast<std::int64_t>(limits::kNoticesNumberedMax)));
    return connection.change("UPDATE notice_number SET last = $1", last + numbered.changed());
}

}  // namespace

Page<model::Notice> notices_of(const Rows& rows) {
    Page<model::Notice> page;
    std::size_t bytes = 0;
    for (const Row row : rows) {
        page.more = true;
        bytes += row.text(kBodyColumn).size();
        const bool is_full =
            page.items.size() == limits::kNoticesPage || bytes > limits::kJobsPageBytesMax;
        if (is_full && !page.items.empty()) return page;
        page.items.push_back(read_notice(row));
    }
    page.more = false;
    return page;
}

Result<void> append_notices(Connection& connection, std::span<const model::Notice> notices,
                            const Now& now) {
    std::vector<std::string> events;
    std::vector<std::string> organizations;
    std::vector<std::string> jobs;
    std::vector<std::string> types;
    std::vector<std::string> bodies;
    for (const model::Notice& notice : notices) {
        events.push_back(notice.event_id);
        organizations.push_back(notice.organization_id);
        jobs.push_back(notice.job_id);
        types.push_back(notice.type);
        bodies.push_back(notice.body_json);
    }
    return connection.change(
        "INSERT INTO notice (event_id, organization_id, job_id, type, body, at, due_at) SELECT "
        "event_id, organization_id, job_id, type, body, $6, $6 FROM unnest($1::text[], "
        "$2::text[], $3::text[], $4::text[], $5::text[]) WITH ORDINALITY AS n (event_id, "
        "organization_id, job_id, type, body, place) ORDER BY place",
        events, organizations, jobs, types, bodies, UnixTime{now.wall_us});
}

Result<void> number_fresh_notices(JobDatabase& database) {
    for (bool more = true; more;) {
        EW_TRY(more, database.read(has_unnumbered));
        if (!more) return {};
        // Numbers that were given by a run whose answer was lost are there, and the next ones
        // follow.
        EW_CHECK(database.write_until_known(
            [](Connection& connection, const Now&) { return number_some(connection); }));
    }
    return {};
}

}  // namespace export_worker::jobs::pg
