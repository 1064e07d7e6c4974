// Schemas for the suites of stores: one for each directory, whose database_now() is the test's
// clock.
//
// A schema is some hundred files, so the next test gets that of one that has ended, emptied.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/postgres_clock.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::testing {

// Those of all tests of the program, by their directories.
class PostgresSchemas {
public:
    // Made when it is asked for first; null where there is no PostgreSQL.
    static const postgres::DatabaseOptions* find(const std::string& directory,
                                                 DatabaseClock& clock) {
        if (const auto known = used().find(directory); known != used().end()) return &known->second;
        std::string why_not;
        PostgresServer* server = PostgresServer::get(why_not);
        if (server == nullptr) return nullptr;
        postgres::DatabaseOptions options;
        if (free().empty()) {
            options = server->new_schema();
        } else {
            options = free().back();
            free().pop_back();
            empty(options);
        }
        follow(options, clock);
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
    static std::map<std::string, postgres::DatabaseOptions>& used() {
        static std::map<std::string, postgres::DatabaseOptions> by_directory;
        return by_directory;
    }
    static std::vector<postgres::DatabaseOptions>& free() {
        static std::vector<postgres::DatabaseOptions> options;
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
                kept CONSTANT name[] := ARRAY['schema_version', 'test_clock', 'registry', 'notice_number', 'leader', 'file_version'];
                name name;
            BEGIN
                FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema AND tablename <> ALL (kept) LOOP
                    EXECUTE format('DELETE FROM %I', name);
                END LOOP;
                IF to_regclass('registry') IS NOT NULL THEN
                    UPDATE registry SET registry_id = replace(gen_random_uuid()::text, '-', '');
                    UPDATE notice_number SET last = 0;
                    UPDATE file_version SET version = 0;
                END IF;
                IF to_regclass('leader') IS NOT NULL THEN
                    UPDATE leader SET until = '-infinity';
                END IF;
            END $$;
            COMMIT
        )sql");
        ASSERT_TRUE(emptied) << emptied.error().message;
    }
    // The schema's clock shows what the test's does, from now on.
    static void follow(const postgres::DatabaseOptions& options, DatabaseClock& clock) {
        const auto set = schema_clock(options);
        set(clock.unix_us());
        clock.tell(set);
    }
};

}  // namespace export_worker::testing
