#include "daemon/jobs/postgres/postgres_outbox.hpp"

#include <algorithm>

#include "base/crypto/uuid.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/jobs/deliveries.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/postgres/notice_rows.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Rows;
using postgres::UnixTime;
using Notices = std::vector<model::Notice>;

// The organizations with notices that are not delivered, one step along the index for each, and
// NULL at the end.
#define EW_PG_WAITING                                                                       \
    "WITH RECURSIVE waiting (id) AS ((SELECT organization_id FROM notice WHERE delivery = " \
    "'pending' ORDER BY organization_id LIMIT 1) UNION ALL SELECT (SELECT organization_id " \
    "FROM notice WHERE delivery = 'pending' AND organization_id > waiting.id ORDER BY "     \
    "organization_id LIMIT 1) FROM waiting WHERE waiting.id IS NOT NULL) "

// Of one organization, the notice that is due longest at $1.
#define EW_PG_FIRST_DUE                                                               \
    " FROM notice WHERE notice.organization_id = waiting.id AND delivery = 'pending'" \
    " AND sequence IS NOT NULL AND due_at <= $1 ORDER BY due_at, sequence LIMIT 1"

// The organizations that have one, and no delivery under way; at most $2.
#define EW_PG_DUE_ORGANIZATIONS                                                                 \
    "SELECT waiting.id FROM waiting CROSS JOIN LATERAL (SELECT due_at" EW_PG_FIRST_DUE          \
    ") AS first WHERE NOT EXISTS (SELECT FROM delivery_turn WHERE organization_id = waiting.id" \
    " AND leased_until > $1) ORDER BY first.due_at LIMIT $2"

Result<std::int64_t> last_number(Connection& connection) {
    EW_TRY(const Rows rows, connection.query("SELECT last FROM notice_number"));
    if (rows.empty()) return fail(ErrorCode::kDataLoss, "PostgreSQL: table notice_number is empty");
    return rows.front().integer(0);
}

Result<bool> has_due(Connection& connection, const Now& at) {
    EW_TRY(const Rows rows,
           connection.query(EW_PG_WAITING EW_PG_DUE_ORGANIZATIONS, UnixTime{at.us}, 1));
    return !rows.empty();
}

// In the order of organizations, so that no two daemons wait for each other.
Result<std::vector<std::string>> take_turns(Connection& connection, std::string_view holder,
                                            std::size_t turns_max, const Now& at) {
    EW_TRY(const Rows taken,
           connection.query(
               EW_PG_WAITING
               "INSERT INTO delivery_turn AS turn SELECT id, 0, $3, $4 FROM "
               "(" EW_PG_DUE_ORGANIZATIONS
               ") AS due ORDER BY id ON CONFLICT (organization_id) DO UPDATE SET sequence = 0, "
               "leased_by = $3, leased_until = $4 WHERE turn.leased_until <= $1 RETURNING "
               "organization_id",
               UnixTime{at.us}, static_cast<std::int64_t>(turns_max), holder,
               UnixTime{at.us + us_of(limits::kDeliveryLease)}));
    return taken.texts();
}

// A statement of its own: it sees what those have written who had the turns before.
Result<Notices> first_due_of(Connection& connection, const std::vector<std::string>& turns,
                             const Now& at) {
    EW_TRY(const Rows rows,
           connection.query("SELECT first.* FROM unnest($2::text[]) AS waiting (id) CROSS JOIN "
                            "LATERAL (SELECT " EW_PG_NOTICE_COLUMNS ", due_at" EW_PG_FIRST_DUE
                            ") AS first ORDER BY due_at, sequence",
                            UnixTime{at.us}, turns));
    return notices_of(rows).items;
}

// A turn is one notice's; what another daemon has delivered meanwhile needs none.
Result<void> name_turns(Connection& connection, const std::vector<std::string>& turns,
                        const Notices& due) {
    std::vector<std::string> organizations;
    std::vector<std::int64_t> sequences;
    for (const model::Notice& notice : due) {
        organizations.push_back(notice.organization_id);
        sequences.push_back(notice.sequence);
    }
    EW_CHECK(connection.change(
        "UPDATE delivery_turn SET sequence = due.sequence FROM unnest($1::text[], "
        "$2::bigint[]) AS due (id, sequence) WHERE organization_id = due.id",
        organizations, sequences));
    if (due.size() == turns.size()) return {};
    return connection.change(
        "DELETE FROM delivery_turn WHERE organization_id = ANY ($1::text[]) AND organization_id <> "
        "ALL ($2::text[])",
        turns, organizations);
}

Result<std::size_t> skip_some(Connection& connection, std::span<const std::string> receivers) {
    EW_TRY(
        const Rows skipped,
        connection.query(
            EW_PG_WAITING
            "UPDATE notice SET delivery = 'done' WHERE notice_id IN (SELECT other.notice_id FROM "
            "waiting CROSS JOIN LATERAL (SELECT notice_id FROM notice WHERE "
            "notice.organization_id = waiting.id AND delivery = 'pending' AND sequence IS NOT "
            "NULL LIMIT $2 FOR NO KEY UPDATE SKIP LOCKED) AS other WHERE waiting.id <> ALL "
            "($1::text[]) LIMIT $2)",
            receivers, static_cast<std::int64_t>(limits::kHousekeepingBatch)));
    return static_cast<std::size_t>(skipped.changed());
}

}  // namespace

PostgresOutbox::PostgresOutbox(JobDatabase& database)
    : database_(database), holder_(crypto::make_uuid7(database.clock().unix_us())) {}

Result<void> PostgresOutbox::begin() {
    EW_CHECK(number_fresh_notices(database_));
    EW_TRY(published_, database_.read(last_number));
    return {};
}

Result<Notices> PostgresOutbox::unpublished_notices() {
    EW_CHECK(number_fresh_notices(database_));
    const std::int64_t published = published_;
    EW_TRY(Notices fresh, database_.read([&](Connection& connection) -> Result<Notices> {
        EW_TRY(const Rows rows, connection.query("SELECT " EW_PG_NOTICE_COLUMNS
                                                 " FROM notice WHERE sequence > $1 ORDER BY "
                                                 "sequence LIMIT $2",
                                                 published, kNoticeRowsMax));
        return notices_of(rows).items;
    }));
    if (!fresh.empty()) return fresh;
    // A failover may have lost the newest numbers, which then are given again.
    EW_TRY(const std::int64_t last, database_.read(last_number));
    if (last < published) {
        log_warn(
            "notices: the newest number is {}, and {} was published before: a failover has lost "
            "some",
            last, published);
        published_ = last;
    }
    return fresh;
}

Result<void> PostgresOutbox::mark_published(std::int64_t last_sequence) {
    published_ = std::max(published_.load(), last_sequence);
    return {};
}

Result<std::size_t> PostgresOutbox::skip_deliveries(std::span<const std::string> receivers) {
    EW_TRY(const bool any, database_.read([&](Connection& connection) -> Result<bool> {
        EW_TRY(const Rows rows,
               connection.query(EW_PG_WAITING "SELECT 1 FROM waiting WHERE id <> ALL ($1::text[]) "
                                              "LIMIT 1",
                                receivers));
        return !rows.empty();
    }));
    if (!any) return std::size_t{0};
    EW_CHECK(number_fresh_notices(database_));
    return database_.write_until_known(
        [&](Connection& connection, const Now&) { return skip_some(connection, receivers); });
}

Result<Notices> PostgresOutbox::take_due_notices(std::size_t notices_max) {
    EW_CHECK(number_fresh_notices(database_));
    EW_TRY(const bool any, database_.read_at(has_due));
    if (!any) return Notices();
    return database_.write([&](Connection& connection, const Now& at) -> Result<Notices> {
        EW_TRY(const std::vector<std::string> turns,
               take_turns(connection, holder_, notices_max, at));
        if (turns.empty()) return Notices();
        EW_TRY(Notices due, first_due_of(connection, turns, at));
        EW_CHECK(name_turns(connection, turns, due));
        return due;
    });
}

Result<void> PostgresOutbox::mark_delivery(std::int64_t sequence, Delivery delivery,
                                           std::string_view answer, std::int64_t delay_us) {
    return database_.write_judged([&](Connection& connection, const Now& at,
                                      Run run) -> Result<void> {
        EW_TRY(const Rows ended,
               connection.query("DELETE FROM delivery_turn WHERE sequence = $1 AND leased_by = $2",
                                sequence, holder_));
        // The run before may have ended it.
        if (ended.changed() == 0 && run == Run::kAgain) return {};
        if (ended.changed() == 0) return not_taken(sequence);
        if (delivery == Delivery::kPutBack) return {};
        return connection.change(
            "UPDATE notice SET delivery = $2, answer = $3, due_at = $4, attempts = attempts + 1 "
            "WHERE sequence = $1",
            sequence, delivery_state(delivery), utf8_prefix(answer, limits::kJobTextBytesMax),
            UnixTime{at.us + delay_us});
    });
}

}  // namespace export_worker::jobs::pg
