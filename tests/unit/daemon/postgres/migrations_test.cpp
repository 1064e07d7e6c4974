#include "daemon/postgres/migrations.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

constexpr std::array<const char*, 2> kSteps{"CREATE TABLE thing (id bigint)",
                                            "ALTER TABLE thing ADD COLUMN name text"};

using MigrationsTest = testing::PostgresTest;

TEST_F(MigrationsTest, EveryStepRunsOnce) {
    const auto connection = connect();
    const std::string& schema = options_.connect.schema;
    ASSERT_TRUE(
        migrate(*connection, schema, {.component = "a", .steps = std::span(kSteps).first(1)}));
    ASSERT_TRUE(connection->change("INSERT INTO thing VALUES (1)"));
    for (int times = 0; times < 2; ++times) {
        const auto done = migrate(*connection, schema, {.component = "a", .steps = kSteps});
        ASSERT_TRUE(done) << done.error().message;
    }
    EXPECT_EQ(connection->query("SELECT count(name) + count(id) FROM thing")->front().integer(0),
              1);
}

TEST_F(MigrationsTest, OneThatFailsLeavesTheSchemaAsItWas) {
    const auto connection = connect();
    constexpr std::array<const char*, 2> kWrong{kSteps[0], "ALTER TABLE nothing ADD COLUMN x text"};
    EXPECT_FALSE(
        migrate(*connection, options_.connect.schema, {.component = "a", .steps = kWrong}));
    EXPECT_FALSE(connection->query("SELECT 1 FROM thing"));
    EXPECT_TRUE(migrate(*connection, options_.connect.schema, {.component = "a", .steps = kSteps}));
}

TEST_F(MigrationsTest, ALaterVersionIsTakenIfItSaysSo) {
    const auto connection = connect();
    const std::string& schema = options_.connect.schema;
    ASSERT_TRUE(migrate(*connection, schema, {.component = "a", .steps = kSteps}));
    const Migrations older{.component = "a", .steps = std::span(kSteps).first(1)};
    const auto refused = migrate(*connection, schema, older);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(refused.error().message.find("upgrade it"), std::string::npos);
    ASSERT_TRUE(connection->change("UPDATE schema_version SET min_reader = 1"));
    EXPECT_TRUE(migrate(*connection, schema, older));
}

TEST_F(MigrationsTest, AStartThatCouldNotMakeItsTablesIsFoundBefore) {
    ASSERT_TRUE(check_schema(options_.connect)) << "its owner may make the schema";
    const auto connection = connect();
    ASSERT_TRUE(migrate(*connection, options_.connect.schema, {.component = "a", .steps = kSteps}));
    ASSERT_TRUE(check_schema(options_.connect));
    const std::string role = options_.connect.schema + "_reader";
    ASSERT_TRUE(connection->execute("CREATE ROLE " + role + " LOGIN"));
    ConnectOptions other = options_.connect;
    other.conninfo += " user=" + role;
    for (const std::string& schema : {options_.connect.schema, options_.connect.schema + "_new"}) {
        other.schema = schema;
        const auto refused = check_schema(other);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
        EXPECT_NE(refused.error().message.find("AUTHORIZATION \"" + role + '"'), std::string::npos)
            << refused.error().message;
    }
}

TEST_F(MigrationsTest, ManyDaemonsMayStartAtOnce) {
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            const auto opened = Database::open(options_, {.component = "a", .steps = kSteps});
            EXPECT_TRUE(opened) << opened.error().message;
        });
    }
    for (auto& thread : threads) thread.join();
}

}  // namespace
}  // namespace export_worker::postgres
