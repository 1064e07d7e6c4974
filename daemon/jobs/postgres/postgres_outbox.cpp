#include "daemon/jobs/postgres/postgres_outbox.hpp"

#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/notice_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;
using Notices = std::vector<model::Notice>;

// 0 for a notice that is not there.
Result<std::int64_t> attempts_of(Connection& connection, std::int64_t sequence) {
    EW_TRY(const Rows rows, connection.query("SELECT attempts FROM notice WHERE sequence = $1 FOR "
                                             "NO KEY UPDATE",
                                             sequence));
    return rows.empty() ? 0 : rows.front().integer(0);
}

}  // namespace

Result<Notices> PostgresOutbox::unpublished_notices() {
    EW_CHECK(number_fresh_notices(database_));
    return database_.read([](Connection& connection) -> Result<Notices> {
        EW_TRY(const Rows rows,
               connection.query("SELECT " EW_PG_NOTICE_COLUMNS
                                " FROM notice WHERE NOT published AND sequence IS NOT NULL ORDER "
                                "BY sequence LIMIT $1",
                                kNoticeRowsMax));
        return notices_of(rows).items;
    });
}

Result<void> PostgresOutbox::mark_published(std::int64_t last_sequence) {
    return database_.write_until_known([&](Connection& connection, const Now&) {
        return connection.change(
            "UPDATE notice SET published = true WHERE NOT published AND sequence <= $1",
            last_sequence);
    });
}

Result<Notices> PostgresOutbox::due_notices() {
    EW_CHECK(number_fresh_notices(database_));
    return database_.read_at([](Connection& connection, const Now& at) -> Result<Notices> {
        EW_TRY(const Rows rows,
               connection.query("SELECT " EW_PG_NOTICE_COLUMNS
                                " FROM notice WHERE delivery = 'pending' AND due_at <= $2 AND "
                                "sequence IS NOT NULL ORDER BY due_at, sequence LIMIT $1",
                                kNoticeRowsMax, UnixTime{at.us}));
        return notices_of(rows).items;
    });
}

Result<void> PostgresOutbox::mark_delivery(std::int64_t sequence, Delivery delivery,
                                           std::string_view answer, std::int64_t delay_us) {
    const char* state = delivery == Delivery::kDone    ? "done"
                        : delivery == Delivery::kRetry ? "pending"
                                                       : "given_up";
    std::int64_t attempts = 0;  // As before the first run.
    return database_.write_judged(
        [&](Connection& connection, const Now& at, Run run) -> Result<void> {
            if (run == Run::kFirst) {
                EW_TRY(attempts, attempts_of(connection, sequence));
            }
            return connection.change(
                "UPDATE notice SET delivery = $2, answer = $3, due_at = $4, attempts = $5 WHERE "
                "sequence = $1",
                sequence, state, utf8_prefix(answer, limits::kJobTextBytesMax),
                UnixTime{at.us + delay_us}, attempts + 1);
        });
}

}  // namespace export_worker::jobs::pg
