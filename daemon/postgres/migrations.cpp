#include "daemon/postgres/migrations.hpp"

#include <cstdint>
#include <memory>

#include "daemon/postgres/limits.hpp"

namespace export_worker::postgres {
namespace {

constexpr std::int64_t kMigrationLock = 0x4557'5047;  // "EWPG"

// min_reader: the oldest version of a program's steps that may use the tables.
constexpr const char* kBase =
    "CREATE TABLE IF NOT EXISTS schema_version ("
    "    component  text PRIMARY KEY,"
    "    version    integer NOT NULL,"
    "    min_reader integer NOT NULL"
    ");"
    "CREATE OR REPLACE FUNCTION database_now() RETURNS timestamptz LANGUAGE sql VOLATILE "
    "AS 'SELECT clock_timestamp()'";

Result<bool> has_schema(Connection& connection, const std::string& schema) {
    EW_TRY(const Rows found,
           connection.query("SELECT 1 FROM pg_namespace WHERE nspname::text = $1", schema));
    return !found.empty();
}

Result<bool> has_base(Connection& connection) {
    EW_TRY(const Rows found, connection.query("SELECT 1 WHERE to_regclass('schema_version') IS NOT "
                                              "NULL AND to_regproc('database_now') IS NOT NULL"));
    return !found.empty();
}

struct Found {
    std::size_t version = 0;
    std::size_t min_reader = 0;
};
Result<Found> find_version(Connection& connection, const Migrations& migrations) {
    EW_TRY(const Rows found,
           connection.query("SELECT version, min_reader FROM schema_version WHERE component = $1",
                            migrations.component));
    if (found.empty()) return Found();
    return Found{static_cast<std::size_t>(found.front().integer(0)),
                 static_cast<std::size_t>(found.front().integer(1))};
}

Result<void> run_steps(Connection& connection, const Migrations& migrations) {
    EW_TRY(const Found found, find_version(connection, migrations));
    const std::size_t known = migrations.steps.size();
    if (found.version > known && found.min_reader > known)
        return fail(ErrorCode::kFailedPrecondition,
                    "PostgreSQL: the tables of " + migrations.component + " are of version " +
                        std::to_string(found.version) + " and need a program that knows version " +
                        std::to_string(found.min_reader) + "; this one knows " +
                        std::to_string(known) + ": upgrade it");
    if (found.version >= known) return {};
    for (std::size_t step = found.version; step < known; ++step)
        EW_CHECK(connection.execute(migrations.steps[step], limits::kPostgresMigrationTimeout));
    return connection.change(
        "INSERT INTO schema_version VALUES ($1, $2, $2) ON CONFLICT (component) DO UPDATE SET "
        "version = excluded.version, min_reader = excluded.min_reader",
        migrations.component, static_cast<std::int64_t>(known));
}

Result<void> run_locked(Connection& connection, const std::string& schema,
                        const Migrations& migrations) {
    const std::string timeout = std::to_string(limits::kPostgresMigrationTimeout.count());
    EW_CHECK(connection.execute("SET LOCAL search_path = \"" + schema +
                                "\"; SET LOCAL statement_timeout = " + timeout +
                                "; SET LOCAL lock_timeout = " + timeout +
                                "; SET LOCAL idle_in_transaction_session_timeout = " + timeout));
    EW_CHECK(lock_migrations(connection));
    EW_TRY(const bool exists, has_schema(connection, schema));
    if (!exists) EW_CHECK(connection.execute("CREATE SCHEMA \"" + schema + '"'));
    EW_TRY(const bool based, has_base(connection));
    if (!based) EW_CHECK(connection.execute(kBase));
    return run_steps(connection, migrations);
}

}  // namespace

Result<void> lock_migrations(Connection& connection) {
    return connection.execute(
        "SELECT pg_advisory_xact_lock(" + std::to_string(kMigrationLock) + ")",
        limits::kPostgresMigrationTimeout);
}

Result<void> check_schema(const ConnectOptions& options) {
    EW_TRY(const std::unique_ptr<Connection> connection, Connection::open(options));
    EW_TRY(const Rows found,
           connection->query("SELECT has_schema_privilege(oid, 'USAGE, CREATE') FROM pg_namespace "
                             "WHERE nspname::text = $1",
                             options.schema));
    if (!found.empty() && found.front().boolean(0)) return {};
    EW_TRY(const Rows may,
           connection->query("SELECT has_database_privilege(current_database(), 'CREATE'), "
                             "current_user::text, current_database()::text"));
    const Row row = may.front();
    if (found.empty() && row.boolean(0)) return {};
    return fail(ErrorCode::kFailedPrecondition,
                "schema " + options.schema + ": expected that the role " + row.string(1) +
                    " may use it and make tables in it, or make it, found neither; run as its "
                    "owner: CREATE SCHEMA IF NOT EXISTS \"" +
                    options.schema + "\" AUTHORIZATION \"" + row.string(1) + "\" (in database " +
                    row.string(2) + ")");
}

Result<void> migrate(Connection& connection, const std::string& schema,
                     const Migrations& migrations) {
    EW_CHECK(connection.execute("BEGIN"));
    auto done = run_locked(connection, schema, migrations);
    if (!done) {
        connection.rollback();
        return done;
    }
    return connection.commit();
}

}  // namespace export_worker::postgres
