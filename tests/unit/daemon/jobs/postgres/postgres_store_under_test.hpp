// PostgreSQL's job store, for the suites of all of them: a schema for each directory, whose
// database_now() is the test's clock. A schema is some hundred files, so the next test gets that
// of one that has ended, emptied.
#pragma once

#include <array>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::jobs {

// Where a test's registry is. The registries of all tests of the program, by their directories.
class PostgresRegistries {
public:
    // Made when it is asked for first; null where there is no PostgreSQL.
    static const PostgresStoreOptions* find(const std::string& directory, RegistryClock& clock) {
        if (const auto known = used().find(directory); known != used().end()) return &known->second;
        std::string why_not;
        testing::PostgresServer* server = testing::PostgresServer::get(why_not);
        if (server == nullptr) return nullptr;
        PostgresStoreOptions options;
        if (free().empty()) {
            options.database = server->new_schema();
        } else {
            options = free().back();
            free().pop_back();
            empty(options.database);
        }
        follow(options.database, clock);
        return &used().emplace(directory, options).first->second;
    }
    // No store is open there, and its tables and functions are those of a new one.
    static void give_back(const std::string& directory) {
        const auto known = used().find(directory);
        if (known == used().end()) return;
        free().push_back(known->second);
        used().erase(known);
    }

private:
    static std::map<std::string, PostgresStoreOptions>& used() {
        static std::map<std::string, PostgresStoreOptions> by_directory;
        return by_directory;
    }
    static std::vector<PostgresStoreOptions>& free() {
        static std::vector<PostgresStoreOptions> options;
        return options;
    }
    // As a new one is, with another registry's id.
    static void empty(const postgres::DatabaseOptions& options) {
        auto connection = postgres::Connection::open(options.connect);
        ASSERT_TRUE(connection) << connection.error().message;
        const auto emptied = (*connection)->execute(R"sql(
            BEGIN;
            SET LOCAL session_replication_role = replica;
            DO $$
            DECLARE
                kept CONSTANT name[] := ARRAY['schema_version', 'test_clock', 'registry', 'notice_number', 'file_version'];
                name name;
            BEGIN
                FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema AND tablename <> ALL (kept) LOOP
                    EXECUTE format('DELETE FROM %I', name);
                END LOOP;
            END $$;
            UPDATE registry SET registry_id = replace(gen_random_uuid()::text, '-', '');
            UPDATE notice_number SET last = 0;
            UPDATE file_version SET version = 0;
            COMMIT
        )sql");
        ASSERT_TRUE(emptied) << emptied.error().message;
    }
    // The schema's clock shows what the test's does, from now on.
    static void follow(const postgres::DatabaseOptions& options, RegistryClock& clock) {
        static constexpr std::array<const char*, 1> kTestClock{
            "CREATE TABLE test_clock (at timestamptz NOT NULL);"
            "INSERT INTO test_clock VALUES (now());"
            "CREATE OR REPLACE FUNCTION database_now() RETURNS timestamptz LANGUAGE sql VOLATILE "
            "AS 'SELECT at FROM test_clock'"};
        auto made = postgres::Database::open(options, {.component = "test", .steps = kTestClock});
        ASSERT_TRUE(made) << made.error().message;
        const std::shared_ptr<postgres::Database> database = std::move(*made);
        const auto set = [database](std::int64_t unix_us) {
            const auto done = database->read([&](postgres::Connection& connection) {
                return connection.change("UPDATE test_clock SET at = $1",
                                         postgres::UnixTime{unix_us});
            });
            ASSERT_TRUE(done) << done.error().message;
        };
        set(clock.unix_us());
        clock.tell(set);
    }
};

inline StoreUnderTest postgres_store() {
    return {.name = "PostgreSQL",
            .open = [](const std::string& directory, RegistryClock& clock,
                       const JobPolicy& policy) -> std::unique_ptr<JobStore> {
                const PostgresStoreOptions* options = PostgresRegistries::find(directory, clock);
                if (options == nullptr) return nullptr;
                auto store = open_postgres_job_store(*options, clock, policy);
                EXPECT_TRUE(store) << store.error().message;
                return store ? std::move(*store) : nullptr;
            },
            // The server's: the daemon's own clock is in no row.
            .jump = [](RegistryClock& clock, std::chrono::microseconds by) { clock.advance(by); },
            .done = PostgresRegistries::give_back,
            .why_not =
                [] {
                    std::string why_not;
                    (void)testing::PostgresServer::get(why_not);
                    return why_not;
                }};
}

}  // namespace export_worker::jobs
