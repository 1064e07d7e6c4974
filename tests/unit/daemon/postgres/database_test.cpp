#include "daemon/postgres/database.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "tests/unit/support/lost_answers.hpp"
#include "tests/unit/support/postgres_proxy.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

class DatabaseTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        database_ = open(options_);
    }
    std::unique_ptr<Database> open(const DatabaseOptions& options) {
        auto opened = Database::open(options, {.component = "test", .steps = kSteps});
        EXPECT_TRUE(opened) << opened.error().message;
        return opened ? std::move(*opened) : nullptr;
    }
    std::int64_t count() {
        return *database_->read([](Connection& connection) -> Result<std::int64_t> {
            EW_TRY(const Rows rows, connection.query("SELECT count(*) FROM thing"));
            return rows.front().integer(0);
        });
    }
    static Result<void> insert(Connection& connection, std::int64_t id) {
        return connection.change("INSERT INTO thing VALUES ($1)", id);
    }

    static constexpr std::array<const char*, 1> kSteps{
        "CREATE TABLE thing (id bigint PRIMARY KEY)"};
    std::unique_ptr<Database> database_;
};

TEST_F(DatabaseTest, AWriteIsAllOrNothing) {
    ASSERT_TRUE(database_->write(
        [](Connection& connection, std::int64_t) { return insert(connection, 1); }));
    EXPECT_EQ(database_
                  ->write([](Connection& connection, std::int64_t) -> Result<void> {
                      EW_CHECK(insert(connection, 2));
                      return insert(connection, 1);
                  })
                  .error()
                  .code,
              ErrorCode::kConflict);
    EXPECT_EQ(count(), 1);
    EXPECT_EQ(database_->problem().cause, "") << "a conflict is the caller's";
    EXPECT_EQ(database_->write_errors(), 0U);
}

TEST_F(DatabaseTest, TheTimeIsTheDatabases) {
    const auto now = database_->read_at(
        [](Connection&, std::int64_t now_us) -> Result<std::int64_t> { return now_us; });
    const auto told = database_->read([](Connection& connection) -> Result<std::int64_t> {
        EW_TRY(const Rows rows, connection.query("SELECT clock_timestamp()"));
        return rows.front().unix_us(0);
    });
    ASSERT_TRUE(now && told);
    EXPECT_GE(*told, *now);
    EXPECT_LT(*told - *now, 60'000'000);
}

TEST_F(DatabaseTest, WhatTheServerGaveUpForOthersRunsAgain) {
    int runs = 0;
    const auto done = database_->write([&](Connection& connection, std::int64_t) -> Result<void> {
        EW_CHECK(insert(connection, ++runs));
        if (runs == 3) return {};
        return connection.change(runs == 1 ? "DO $$BEGIN RAISE EXCEPTION '' USING ERRCODE = "
                                             "'serialization_failure'; END$$"
                                           : "DO $$BEGIN RAISE EXCEPTION '' USING ERRCODE = "
                                             "'deadlock_detected'; END$$");
    });
    ASSERT_TRUE(done) << done.error().message;
    EXPECT_EQ(runs, 3);
    EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, ItDoesNotRunForEver) {
    int runs = 0;
    const auto done = database_->write([&](Connection& connection, std::int64_t) {
        ++runs;
        return connection.change(
            "DO $$BEGIN RAISE EXCEPTION '' USING ERRCODE = 'serialization_failure'; END$$");
    });
    EXPECT_EQ(done.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(runs, limits::kPostgresTriesMax);
}

TEST_F(DatabaseTest, AConnectionThatEndedWhileIdleCostsNobodyARequest) {
    ASSERT_EQ(count(), 0);
    testing::PostgresServer::end_sessions(
        {.connect = {.conninfo = options_.connect.conninfo, .application_name = "killer"}},
        options_.connect.application_name);
    EXPECT_EQ(count(), 0);
    testing::PostgresServer::end_sessions(
        {.connect = {.conninfo = options_.connect.conninfo, .application_name = "killer"}},
        options_.connect.application_name);
    EXPECT_TRUE(database_->write(
        [](Connection& connection, std::int64_t) { return insert(connection, 1); }));
    EXPECT_EQ(count(), 1);
}

TEST_F(DatabaseTest, AsManyConnectionsAsThereAreMayHaveEnded) {
    std::atomic<std::size_t> lent{0};
    std::vector<std::jthread> readers;
    for (std::size_t reader = 0; reader < options_.connections_max; ++reader) {
        readers.emplace_back([&] {
            EXPECT_TRUE(database_->read([&](Connection&) -> Result<void> {
                ++lent;
                while (lent < options_.connections_max) std::this_thread::yield();
                return {};
            }));
        });
    }
    readers.clear();
    testing::PostgresServer::end_sessions(
        {.connect = {.conninfo = options_.connect.conninfo, .application_name = "killer"}},
        options_.connect.application_name);
    EXPECT_EQ(count(), 0);
}

TEST_F(DatabaseTest, ACommitThatWasNotSentRunsAgainAndOneThatWasDoesNot) {
    testing::PostgresProxy proxy(*server_);
    const auto through = open(proxy.through(options_));
    std::atomic<int> runs{0};
    const auto write = [&](std::int64_t id) {
        return through->write([&, id](Connection& connection, std::int64_t) {
            ++runs;
            return insert(connection, id);
        });
    };
    proxy.swallow_commit_answers(1);
    EXPECT_EQ(write(1).error().code, ErrorCode::kUnknownOutcome);
    EXPECT_EQ(runs, 1);
    EXPECT_EQ(count(), 1);
    EXPECT_NE(through->problem().cause, "");
    EXPECT_EQ(through->write_errors(), 1U);
    // Whether it arrived is not known either, so it does not run again by itself.
    proxy.cut_before_commits(1);
    EXPECT_EQ(write(2).error().code, ErrorCode::kUnknownOutcome);
    EXPECT_EQ(runs, 2);
    EXPECT_EQ(count(), 1);
    EXPECT_TRUE(write(2)) << "again, with the same id";
    EXPECT_EQ(through->problem().cause, "");
}

TEST_F(DatabaseTest, TwoThatWaitForEachOtherBothSucceed) {
    ASSERT_TRUE(database_->write([](Connection& connection, std::int64_t) -> Result<void> {
        EW_CHECK(insert(connection, 1));
        return insert(connection, 2);
    }));
    std::atomic<int> ready{0};
    const auto lock_both = [&](std::int64_t first, std::int64_t second) {
        bool is_first = true;
        const auto done =
            database_->write([&](Connection& connection, std::int64_t) -> Result<void> {
                EW_CHECK(connection.change("SELECT 1 FROM thing WHERE id = $1 FOR UPDATE", first));
                if (std::exchange(is_first, false)) {
                    ++ready;
                    while (ready < 2) std::this_thread::yield();
                }
                return connection.change("SELECT 2 FROM thing WHERE id = $1 FOR UPDATE", second);
            });
        EXPECT_TRUE(done) << done.error().message;
    };
    std::thread other([&] { lock_both(2, 1); });
    lock_both(1, 2);
    other.join();
}

}  // namespace
}  // namespace export_worker::postgres
