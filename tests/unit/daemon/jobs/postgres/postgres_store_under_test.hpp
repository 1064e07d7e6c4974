// PostgreSQL's job store, for the suites of all of them: a schema for each directory, whose
// database_now() is the test's clock. A schema is some hundred files, so the next test gets that
// of one that has ended, emptied.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"
#include "tests/unit/support/postgres_clock.hpp"
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
                kept CONSTANT name[] := ARRAY['schema_version', 'test_clock', 'registry', 'notice_number', 'leader'];
                name name;
            BEGIN
                FOR name IN SELECT tablename FROM pg_tables WHERE schemaname = current_schema AND tablename <> ALL (kept) LOOP
                    EXECUTE format('DELETE FROM %I', name);
                END LOOP;
            END $$;
            UPDATE registry SET registry_id = replace(gen_random_uuid()::text, '-', '');
            UPDATE notice_number SET last = 0;
            UPDATE leader SET until = '-infinity';
            COMMIT
        )sql");
        ASSERT_TRUE(emptied) << emptied.error().message;
    }
    // The schema's clock shows what the test's does, from now on.
    static void follow(const postgres::DatabaseOptions& options, RegistryClock& clock) {
        const auto set = testing::schema_clock(options);
        set(clock.unix_us());
        clock.tell(set);
    }
};

// A daemon as the registry sees it: a membership, and a store that it owns.
class JoinedJobStore final : public JobStore {
public:
    // nullptr, with a failure of the test: it cannot be opened.
    static std::unique_ptr<JobStore> open(const PostgresStoreOptions& options, const Clock& clock,
                                          const JobPolicy& policy) {
        auto membership = cluster::Membership::join(
            {.database = options.database, .name = "test", .version = policy.version}, clock);
        EXPECT_TRUE(membership) << membership.error().message;
        if (!membership) return nullptr;
        auto store = open_postgres_job_store(options, **membership, clock, policy);
        EXPECT_TRUE(store) << store.error().message;
        if (!store) return nullptr;
        return std::unique_ptr<JobStore>(
            new JoinedJobStore(std::move(*membership), std::move(*store)));
    }
    [[nodiscard]] cluster::Membership& membership() { return *membership_; }

    JobReader& reader() override { return store_->reader(); }
    JobRequests& requests() override { return store_->requests(); }
    JobQueue& queue() override { return store_->queue(); }
    JobFiles& files() override { return store_->files(); }
    JobRetention& retention() override { return store_->retention(); }
    JobAccesses& accesses() override { return store_->accesses(); }
    Organizations& organizations() override { return store_->organizations(); }
    Outbox& outbox() override { return store_->outbox(); }
    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return store_->backup(path, keep_going);
    }
    Result<void> compact(std::chrono::milliseconds pause_max,
                         const std::function<bool()>& keep_going) override {
        return store_->compact(pause_max, keep_going);
    }
    Problem problem() const override { return store_->problem(); }
    std::uint64_t write_errors() const override { return store_->write_errors(); }

private:
    JoinedJobStore(std::unique_ptr<cluster::Membership> membership, std::unique_ptr<JobStore> store)
        : membership_(std::move(membership)), store_(std::move(store)) {}

    const std::unique_ptr<cluster::Membership> membership_;
    const std::unique_ptr<JobStore> store_;
};

inline StoreUnderTest postgres_store() {
    return {.name = "PostgreSQL",
            .open = [](const std::string& directory, RegistryClock& clock,
                       const JobPolicy& policy) -> std::unique_ptr<JobStore> {
                const PostgresStoreOptions* options = PostgresRegistries::find(directory, clock);
                if (options == nullptr) return nullptr;
                return JoinedJobStore::open(*options, clock, policy);
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
