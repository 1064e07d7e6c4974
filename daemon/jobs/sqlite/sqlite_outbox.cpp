#include "daemon/jobs/sqlite/sqlite_outbox.hpp"

#include <optional>

#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/jobs/deliveries.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/notice_rows.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

Result<std::vector<model::Notice>> first_page(Statement& rows) {
    EW_TRY(Page<model::Notice> page, read_notices(rows));
    return std::move(page.items);
}

// The organizations with notices that are not delivered, one step along the index for each, and
// NULL at the end.
#define EW_WAITING                                                                              \
    "WITH RECURSIVE waiting (id) AS (SELECT min(organization_id) FROM notice WHERE delivery = " \
    "'pending' UNION ALL SELECT (SELECT min(organization_id) FROM notice WHERE delivery = "     \
    "'pending' AND organization_id > waiting.id) FROM waiting WHERE waiting.id IS NOT NULL) "

std::string json_of(std::span<const std::string> ids) {
    return dump_json(nlohmann::json(std::vector<std::string>(ids.begin(), ids.end())));
}

// 0 for a notice that is not there.
Result<std::int64_t> attempts_of(Connection& connection, std::int64_t sequence) {
    Statement row = connection.statement("SELECT attempts FROM notice WHERE sequence = ?1");
    EW_TRY(const bool found, row.bind(sequence).step());
    return found ? row.integer(0) : 0;
}

Result<void> write_end(JobDatabase& database, std::int64_t sequence, Outbox::Delivery delivery,
                       std::string_view answer, std::int64_t delay_us) {
    std::optional<std::int64_t> attempts;  // As before the first run.
    return database.write_until_known([&](Connection& connection, const Now& at) -> Result<void> {
        if (!attempts) {
            EW_TRY(attempts, attempts_of(connection, sequence));
        }
        return connection
            .statement(
                "UPDATE notice SET delivery = ?2, answer = ?3, due_us = ?4, attempts = ?5 WHERE "
                "sequence = ?1")
            .bind(sequence, delivery_state(delivery), utf8_prefix(answer, limits::kJobTextBytesMax),
                  at.us + delay_us, *attempts + 1)
            .run();
    });
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

Result<std::size_t> SqliteOutbox::skip_deliveries(std::span<const std::string> receivers) {
    const std::string known = json_of(receivers);
    EW_TRY(const std::vector<std::string> others, database_.read([&](Connection& connection) {
        return sqlite::select_texts(connection,
                                    EW_WAITING
                                    "SELECT id FROM waiting WHERE id IS NOT NULL AND "
                                    "id NOT IN (SELECT value FROM json_each(?1))",
                                    known);
    }));
    std::size_t all = 0;
    for (const std::string& organization_id : others) {
        if (all >= limits::kHousekeepingBatch) break;
        EW_TRY(const std::size_t some,
               database_.write_until_known([&](Connection& connection,
                                               const Now&) -> Result<std::size_t> {
                   EW_CHECK(connection
                                .statement(
                                    "UPDATE notice SET delivery = 'done' WHERE sequence IN (SELECT "
                                    "sequence FROM notice WHERE organization_id = ?1 AND delivery "
                                    "= 'pending' ORDER BY due_us, sequence LIMIT ?2)")
                                .bind(organization_id,
                                      static_cast<std::int64_t>(limits::kHousekeepingBatch - all))
                                .run());
                   return static_cast<std::size_t>(connection.changes());
               }));
        all += some;
    }
    return all;
}

Result<std::vector<model::Notice>> SqliteOutbox::take_due_notices(std::size_t notices_max) {
    const Now at = database_.now();
    const std::lock_guard lock(mutex_);
    const std::string busy = busy_organizations(at.us);
    EW_TRY(std::vector<model::Notice> due, database_.read([&](Connection& connection) {
        Statement rows = connection.statement(
            EW_WAITING
            "SELECT " EW_NOTICE_COLUMNS
            " FROM waiting JOIN notice ON sequence = (SELECT sequence FROM notice WHERE "
            "organization_id = waiting.id AND delivery = 'pending' AND due_us <= ?2 ORDER BY "
            "due_us, sequence LIMIT 1) WHERE waiting.id NOT IN (SELECT value FROM json_each(?3)) "
            "ORDER BY due_us, sequence LIMIT ?1");
        rows.bind(static_cast<std::int64_t>(notices_max), at.us, busy);
        return first_page(rows);
    }));
    for (const model::Notice& notice : due)
        turns_[notice.sequence] = {notice.organization_id, at.us + us_of(limits::kDeliveryLease)};
    return due;
}

Result<void> SqliteOutbox::mark_delivery(std::int64_t sequence, Delivery delivery,
                                         std::string_view answer, std::int64_t delay_us) {
    if (!is_taken(sequence)) return not_taken(sequence);
    if (delivery != Delivery::kPutBack)
        EW_CHECK(write_end(database_, sequence, delivery, answer, delay_us));
    end_turn(sequence);
    return {};
}

std::string SqliteOutbox::busy_organizations(std::int64_t now_us) {
    std::erase_if(turns_, [&](const auto& turn) { return turn.second.until_us <= now_us; });
    std::vector<std::string> busy;
    for (const auto& [sequence, turn] : turns_) busy.push_back(turn.organization_id);
    return json_of(busy);
}

bool SqliteOutbox::is_taken(std::int64_t sequence) const {
    const std::lock_guard lock(mutex_);
    return turns_.contains(sequence);
}

void SqliteOutbox::end_turn(std::int64_t sequence) {
    const std::lock_guard lock(mutex_);
    turns_.erase(sequence);
}

}  // namespace export_worker::jobs
