#include "daemon/jobs/outbox.hpp"

#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

#define EW_NOTICE_COLUMNS "sequence, event_id, organization_id, job_id, type, body, at_us, attempts"

model::Notice read_notice(const Statement& row) {
    return {row.integer(0), row.string(1), row.string(2),  row.string(3),
            row.string(4),  row.string(5), row.integer(6), static_cast<int>(row.integer(7))};
}

Result<std::vector<model::Notice>> all_notices(Statement& rows) {
    std::vector<model::Notice> out;
    for (;;) {
        EW_TRY(const bool more, rows.step());
        if (!more) return out;
        out.push_back(read_notice(rows));
    }
}

}  // namespace

Result<std::vector<model::Notice>> unpublished_notices(Connection& connection) {
    Statement rows = connection.statement(
        "SELECT " EW_NOTICE_COLUMNS " FROM notice WHERE published = 0 ORDER BY sequence LIMIT ?1");
    rows.bind(static_cast<std::int64_t>(limits::kNoticesPage));
    return all_notices(rows);
}

Result<std::vector<model::Notice>> due_notices(Connection& connection, const Now& now) {
    Statement rows = connection.statement(
        "SELECT " EW_NOTICE_COLUMNS
        " FROM notice WHERE delivery = 'pending' AND due_us <= ?2 ORDER BY due_us, sequence LIMIT "
        "?1");
    rows.bind(static_cast<std::int64_t>(limits::kNoticesPage), now.us);
    return all_notices(rows);
}

Result<std::vector<model::Notice>> notices_after(Connection& connection,
                                                 const model::OrganizationScope& scope,
                                                 std::int64_t after) {
    Statement rows = connection.statement(
        "SELECT " EW_NOTICE_COLUMNS
        " FROM notice WHERE sequence > ?2 AND (?3 IS NULL OR organization_id = ?3) ORDER BY "
        "sequence LIMIT ?1");
    rows.bind(static_cast<std::int64_t>(limits::kNoticesPage), after, scope.organization_id());
    return all_notices(rows);
}

Result<void> mark_published(Connection& connection, std::int64_t last_sequence) {
    return connection
        .statement("UPDATE notice SET published = 1 WHERE published = 0 AND sequence <= ?1")
        .bind(last_sequence)
        .run();
}

Result<void> mark_delivery(Connection& connection, std::int64_t sequence,
                           JobStore::Delivery delivery, std::string_view answer,
                           std::int64_t due_us) {
    const char* state = delivery == JobStore::Delivery::kDone    ? "done"
                        : delivery == JobStore::Delivery::kRetry ? "pending"
                                                                 : "given_up";
    return connection
        .statement(
            "UPDATE notice SET delivery = ?2, answer = ?3, due_us = ?4, attempts = attempts "
            "+ 1 WHERE sequence = ?1")
        .bind(sequence, state, utf8_prefix(answer, limits::kJobTextBytesMax), due_us)
        .run();
}

}  // namespace export_worker::jobs
