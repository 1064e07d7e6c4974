#include "daemon/migration/move_target.hpp"

#include <array>
#include <utility>

#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/auth/postgres/auth_schema.hpp"
#include "daemon/catalog/postgres/catalog_schema.hpp"
#include "daemon/cluster/cluster_schema.hpp"
#include "daemon/jobs/postgres/job_schema.hpp"
#include "daemon/migration/limits.hpp"
#include "daemon/migration/move_schema.hpp"
#include "daemon/postgres/migrations.hpp"

namespace export_worker::migration {
namespace {

using nlohmann::json;
using postgres::Row;
using postgres::Rows;

// As the stores themselves have them; jobs refer to a table of the cluster.
Result<void> migrate_all(postgres::Connection& connection, const std::string& schema) {
    const std::array<postgres::Migrations, 5> all{{{"cluster", cluster::kClusterMigrations},
                                                   {"auth", auth::pg::kAuthMigrations},
                                                   {"jobs", jobs::pg::kJobMigrations},
                                                   {"catalog", catalog::pg::kCatalogMigrations},
                                                   {"migration", kMoveMigrations}}};
    for (const postgres::Migrations& each : all)
        EW_CHECK(postgres::migrate(connection, schema, each));
    return {};
}

postgres::ConnectOptions with_patience(postgres::ConnectOptions options) {
    const std::string answer = std::to_string(limits::kMoveAnswerMax.count());
    options.settings.insert(
        options.settings.end(),
        {{"statement_timeout", "0"},
         {"lock_timeout", answer},
         {"idle_in_transaction_session_timeout", std::to_string(limits::kMoveIdleMax.count())},
         // Rows that were copied in the order of their keys are read so, without a sort on disk.
         {"enable_sort", "off"}});
    return options;
}

std::string tables_json(const std::vector<TableDigest>& tables) {
    json out = json::array();
    for (const TableDigest& each : tables)
        out.push_back({{"table", each.table}, {"rows", each.rows}, {"sha256", each.sha256}});
    return dump_json(out);
}

std::vector<TableDigest> parse_tables(std::string_view text) {
    std::vector<TableDigest> out;
    const json from = parse_json(text);
    for (const json& each : from.is_array() ? from : json::array())
        out.push_back({each.value("table", ""), each.value("rows", std::int64_t{0}),
                       each.value("sha256", "")});
    return out;
}

#define EW_MOVE_COLUMNS "move_id, registry_id, state, moved_at, line_offset_us, line_now_us, tables"

std::optional<RecordedMove> first_move(const Rows& rows) {
    if (rows.empty()) return std::nullopt;
    const Row row = rows.front();
    return RecordedMove{row.string(0),
                        row.string(1),
                        row.text(2) == "undone",
                        row.unix_us(3),
                        {row.integer(4), row.integer(5)},
                        parse_tables(row.text(6))};
}

}  // namespace

Result<MoveTarget> MoveTarget::open(const postgres::ConnectOptions& options) {
    EW_TRY(auto connection, postgres::Connection::open(with_patience(options)));
    EW_CHECK(migrate_all(*connection, options.schema));
    MoveTarget out(std::move(connection));
    EW_CHECK(out.begin());
    EW_CHECK(out.check_no_daemon());
    return out;
}

Result<void> MoveTarget::begin() {
    EW_TRY(now_us_, connection_->begin(postgres::Connection::Access::kReadWrite));
    return postgres::lock_migrations(*connection_);
}

// One that has its tables open before the lock was taken has entered before, too.
Result<void> MoveTarget::check_no_daemon() {
    EW_TRY(const Rows rows,
           connection_->query("SELECT name FROM instance WHERE greatest(lease_until, "
                              "answers_until) > database_now() LIMIT 1"));
    if (rows.empty()) return {};
    return fail(ErrorCode::kFailedPrecondition,
                "PostgreSQL: the daemon '" + printable(rows.front().text(0)) +
                    "' uses the schema; stop all of its daemons, and run this again (one that was "
                    "killed counts for as long as its lease)");
}

Result<std::optional<RecordedMove>> MoveTarget::find_move() {
    EW_TRY(const Rows rows, connection_->query("SELECT " EW_MOVE_COLUMNS
                                               " FROM moved_registry WHERE state = 'done'"));
    return first_move(rows);
}

Result<std::optional<RecordedMove>> MoveTarget::find_move(const std::string& move_id) {
    EW_TRY(const Rows rows,
           connection_->query("SELECT " EW_MOVE_COLUMNS " FROM moved_registry WHERE move_id = $1",
                              move_id));
    return first_move(rows);
}

Result<std::vector<std::string>> MoveTarget::used_tables() {
    EW_TRY(const Rows rows,
           connection_->query(
               "SELECT 'job' WHERE EXISTS (SELECT FROM job)"
               " UNION ALL SELECT 'organization' WHERE EXISTS (SELECT FROM organization)"
               " UNION ALL SELECT 'notice' WHERE EXISTS (SELECT FROM notice)"
               " UNION ALL SELECT 'product' WHERE EXISTS (SELECT FROM product)"
               " UNION ALL SELECT 'price' WHERE EXISTS (SELECT FROM price)"
               " UNION ALL SELECT 'export_template' WHERE EXISTS (SELECT FROM export_template)"
               " UNION ALL SELECT 'api_key' WHERE EXISTS (SELECT FROM api_key)"
               " UNION ALL SELECT 'member' WHERE EXISTS (SELECT FROM member)"
               " UNION ALL SELECT 'session' WHERE EXISTS (SELECT FROM session)"));
    return rows.texts();
}

Result<void> MoveTarget::empty() {
    std::string names = "job_count_change, delivery_turn, file_change";
    for (const Table& table : tables()) names += std::string(", ") + table.name;
    EW_CHECK(connection_->execute(
        "TRUNCATE " + names +
            "; INSERT INTO registry VALUES (replace(gen_random_uuid()::text, '-', ''))"
            "; INSERT INTO notice_number VALUES (0)"
            "; UPDATE moved_registry SET state = 'undone'",
        limits::kMoveAnswerMax));
    return {};
}

Result<void> MoveTarget::prepare() {
    return connection_->execute(
        "DELETE FROM registry; DELETE FROM notice_number;"
        "ALTER TABLE job DISABLE TRIGGER USER; ALTER TABLE file DISABLE TRIGGER USER;"
        "ALTER TABLE product DISABLE TRIGGER USER",
        limits::kMoveAnswerMax);
}

Result<void> MoveTarget::record(const RecordedMove& move) {
    EW_CHECK(connection_->execute(
        "ALTER TABLE job ENABLE TRIGGER USER; ALTER TABLE file ENABLE TRIGGER USER;"
        "ALTER TABLE product ENABLE TRIGGER USER;"
        "SELECT setval(pg_get_serial_sequence('job_access', 'access_id'),"
        "    1 + coalesce((SELECT max(access_id) FROM job_access), 0), false);"
        "SELECT setval(pg_get_serial_sequence('notice', 'notice_id'),"
        "    1 + coalesce((SELECT last FROM notice_number), 0), false);"
        "ANALYZE job, job_entry, job_event, job_access, file, notice, organization, job_count,"
        "    product, property_path, price, export_template, api_key, member, session",
        limits::kMoveAnswerMax));
    return connection_->change("INSERT INTO moved_registry VALUES ($1, $2, 'done', $3, $4, $5, $6)",
                               move.move_id, move.registry_id, postgres::UnixTime{move.moved_us},
                               move.line.offset_us, move.line.now_us, tables_json(move.tables));
}

Result<void> MoveTarget::commit() {
    auto committed = connection_->execute("COMMIT", limits::kMoveAnswerMax);
    if (committed) return {};
    return fail(ErrorCode::kUnknownOutcome,
                "commit: " + committed.error().message +
                    "; whether it has happened is unknown: run the same command again");
}

}  // namespace export_worker::migration
