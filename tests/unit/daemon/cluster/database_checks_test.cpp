#include "daemon/cluster/database_checks.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::cluster {
namespace {

using std::chrono::microseconds;

constexpr microseconds kAnyAge = std::chrono::hours(1);

class DatabaseChecksTest : public testing::PostgresTest {};

TEST_F(DatabaseChecksTest, WithoutASynchronousStandbyAFailoverMayLoseJobs) {
    const auto connection = connect();
    auto problems = check_database(*connection, {true, kAnyAge});
    ASSERT_TRUE(problems) << problems.error().message;
    ASSERT_EQ(problems->size(), 1U);
    EXPECT_NE(problems->at(0).cause.find("synchronous_standby_names is empty"), std::string::npos);
    EXPECT_NE(problems->at(0).remedy, "");
    EXPECT_TRUE(check_database(*connection, {false, kAnyAge})->empty());
}

TEST_F(DatabaseChecksTest, ACommitThatWaitsForNoStandbyMayLoseJobs) {
    const auto connection = connect();
    ASSERT_TRUE(connection->execute("SET synchronous_commit = local"));
    // As a server with a standby has it; only for what this session sees.
    ASSERT_TRUE(connection->execute("CREATE SCHEMA \"" + options_.connect.schema + "\""));
    ASSERT_TRUE(connection->execute(
        "CREATE FUNCTION current_setting(name text) RETURNS text LANGUAGE sql AS $$SELECT CASE "
        "name WHEN 'synchronous_standby_names' THEN 'standby' ELSE "
        "pg_catalog.current_setting(name) END$$; SET search_path = \"" +
        options_.connect.schema + "\", pg_catalog"));
    const auto problems = check_database(*connection, {true, kAnyAge});
    ASSERT_TRUE(problems) << problems.error().message;
    ASSERT_EQ(problems->size(), 1U);
    EXPECT_NE(problems->at(0).cause.find("synchronous_commit is 'local'"), std::string::npos);
    ASSERT_TRUE(connection->execute("SET synchronous_commit = remote_apply"));
    EXPECT_TRUE(check_database(*connection, {true, kAnyAge})->empty());
}

TEST_F(DatabaseChecksTest, AnOldSnapshotIsNamedByItsProcess) {
    const auto holder = connect();
    ASSERT_TRUE(holder->execute("BEGIN ISOLATION LEVEL REPEATABLE READ"));
    const auto pid = holder->query("SELECT pg_backend_pid()::text");
    ASSERT_TRUE(pid);
    const auto connection = connect();
    const auto problems = check_database(*connection, {false, microseconds(0)});
    ASSERT_TRUE(problems) << problems.error().message;
    ASSERT_EQ(problems->size(), 1U);
    EXPECT_NE(problems->at(0).remedy.find(pid->front().string(0)), std::string::npos)
        << problems->at(0).remedy;
    EXPECT_TRUE(check_database(*connection, {false, kAnyAge})->empty());
}

}  // namespace
}  // namespace export_worker::cluster
