#include "daemon/jobs/outbox.hpp"

#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

#define EW_NOTICE_COLUMNS "sequence, event_id, organization_id, job_id, type, body, at_us, attempts"

constexpr int kBodyColumn = 5;

model::Notice read_notice(const Statement& row) {
    return {
        row.integer(0), row.string(1),           row.string(2),  row.string(3),
        row.string(4),  row.string(kBodyColumn), row.integer(6), static_cast<int>(row.integer(7))};
}

// Of a statement that was bound to kRowsMax, so that the row behind the page tells whether more
// follow.
constexpr auto kRowsMax = static_cast<std::int64_t>(limits::kNoticesPage) + 1;

Result<Page<model::Notice>> read_page(Statement& rows) {
    Page<model::Notice> page;
    std::size_t bytes = 0;
    for (;;) {
        EW_TRY(page.more, rows.step());
        if (!page.more || page.items.size() == limits::kNoticesPage) return page;
        bytes += rows.text(kBodyColumn).size();
        if (bytes > limits::kJobsPageBytesMax && !page.items.empty()) return page;
        page.items.push_back(read_notice(rows));
    }
}

Result<std::vector<model::Notice>> first_page(Statement& rows) {
    EW_TRY(Page<model::Notice> page, read_page(rows));
    return std::move(page.items);
}

}  // namespace

Result<std::vector<model::Notice>> unpublished_notices(Connection& connection) {
    Statement rows = connection.statement(
        "SELECT " EW_NOTICE_COLUMNS " FROM notice WHERE published = 0 ORDER BY sequence LIMIT ?1");
    rows.bind(kRowsMax);
    return first_page(rows);
}

Result<std::vector<model::Notice>> due_notices(Connection& connection, const Now& now) {
    Statement rows = connection.statement(
        "SELECT " EW_NOTICE_COLUMNS
        " FROM notice WHERE delivery = 'pending' AND due_us <= ?2 ORDER BY due_us, sequence LIMIT "
        "?1");
    rows.bind(kRowsMax, now.us);
    return first_page(rows);
}

Result<Page<model::Notice>> notices_after(Connection& connection,
                                          const model::OrganizationScope& scope,
                                          std::int64_t after) {
    Statement rows = connection.statement(
        "SELECT " EW_NOTICE_COLUMNS
        " FROM notice WHERE sequence > ?2 AND (?3 IS NULL OR organization_id = ?3) ORDER BY "
        "sequence LIMIT ?1");
    rows.bind(kRowsMax, after, scope.organization_id());
    return read_page(rows);
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
