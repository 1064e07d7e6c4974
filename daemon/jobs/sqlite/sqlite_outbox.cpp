#include "daemon/jobs/sqlite/sqlite_outbox.hpp"

#include <optional>

#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/notice_rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

Result<std::vector<model::Notice>> first_page(Statement& rows) {
    EW_TRY(Page<model::Notice> page, read_notices(rows));
    return std::move(page.items);
}

// 0 for a notice that is not there.
Result<std::int64_t> attempts_of(Connection& connection, std::int64_t sequence) {
    Statement row = connection.statement("SELECT attempts FROM notice WHERE sequence = ?1");
    EW_TRY(const bool found, row.bind(sequence).step());
    return found ? row.integer(0) : 0;
}

}  // namespace

Result<std::vector<model::Notice>> SqliteOutbox::unpublished_notices() {
    return database_.read([](Connection& connection) {
        Statement rows = connection.statement("SELECT " EW_NOTICE_COLUMNS
                                              " FROM notice WHERE published = 0 ORDER BY sequence "
                                              "LIMIT ?1");
        rows.bind(kNoticeRowsMax);
        return first_page(rows);
    });
}

Result<void> SqliteOutbox::mark_published(std::int64_t last_sequence) {
    return database_.write_until_known([&](Connection& connection, const Now&) {
        return connection
            .statement("UPDATE notice SET published = 1 WHERE published = 0 AND sequence <= ?1")
            .bind(last_sequence)
            .run();
    });
}

Result<std::vector<model::Notice>> SqliteOutbox::due_notices() {
    const Now at = database_.now();
    return database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            "SELECT " EW_NOTICE_COLUMNS
            " FROM notice WHERE delivery = 'pending' AND due_us <= ?2 ORDER BY due_us, sequence "
            "LIMIT ?1");
        rows.bind(kNoticeRowsMax, at.us);
        return first_page(rows);
    });
}

Result<void> SqliteOutbox::mark_delivery(std::int64_t sequence, Delivery delivery,
                                         std::string_view answer, std::int64_t delay_us) {
    const char* state = delivery == Delivery::kDone    ? "done"
                        : delivery == Delivery::kRetry ? "pending"
                                                       : "given_up";
    std::optional<std::int64_t> attempts;  // As before the first run.
    return database_.write_until_known([&](Connection& connection, const Now& at) -> Result<void> {
        if (!attempts) {
            EW_TRY(attempts, attempts_of(connection, sequence));
        }
        return connection
            .statement(
                "UPDATE notice SET delivery = ?2, answer = ?3, due_us = ?4, attempts = ?5 WHERE "
                "sequence = ?1")
            .bind(sequence, state, utf8_prefix(answer, limits::kJobTextBytesMax), at.us + delay_us,
                  *attempts + 1)
            .run();
    });
}

}  // namespace export_worker::jobs
