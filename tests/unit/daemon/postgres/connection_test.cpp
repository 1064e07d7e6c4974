#include "daemon/postgres/connection.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/postgres_proxy.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

class ConnectionTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        auto database = Database::open(options_, {.component = "test", .steps = kSteps});
        ASSERT_TRUE(database) << database.error().message;
        connection_ = connect();
        ASSERT_NE(connection_, nullptr);
    }
    static constexpr std::array<const char*, 1> kSteps{
        "CREATE TABLE thing (id bigint PRIMARY KEY, name text COLLATE \"C\")"};
    std::unique_ptr<Connection> connection_;
};

TEST_F(ConnectionTest, ValuesComeBackAsTheyWereSent) {
    const std::string large(3'000'000, 'x');
    const std::vector<std::string> texts{"a", "", "{\"b,\\}"};
    const auto rows = connection_->query(
        "SELECT $1::bigint, $2::bool, $3::text, $4::timestamptz, $5::text, $6::bigint, "
        "($7::text[])[3], array_length($8::bigint[], 1), $9::text",
        std::int64_t{-5'000'000'000}, true, large, UnixTime{1'700'000'000'123'456},
        std::optional<std::string>(), std::optional<std::int64_t>(7), texts,
        std::vector<std::int64_t>{1, 2}, std::string_view());
    ASSERT_TRUE(rows) << rows.error().message;
    const Row row = rows->front();
    EXPECT_EQ(row.integer(0), -5'000'000'000);
    EXPECT_TRUE(row.boolean(1));
    EXPECT_EQ(row.text(2), large);
    EXPECT_EQ(row.unix_us(3), 1'700'000'000'123'456);
    EXPECT_EQ(row.optional_string(4), std::nullopt);
    EXPECT_EQ(row.optional_integer(5), 7);
    EXPECT_EQ(row.text(6), texts[2]);
    EXPECT_EQ(row.integer(7), 2);
    EXPECT_EQ(row.text(8), "");
}

TEST_F(ConnectionTest, AnOptionalTextIsBorrowedFromTheCaller) {
    const std::optional<std::string> some("long enough to lie on the heap, wherever it is copied");
    const std::optional<std::string> none;
    const auto rows = connection_->query("SELECT $1::text, $2::text", some, none);
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->front().optional_string(0), some);
    EXPECT_EQ(rows->front().optional_string(1), none);
}

TEST_F(ConnectionTest, TextThatPostgresCannotStoreIsReplaced) {
    const auto rows = connection_->query("SELECT $1::text, $2::text", std::string_view("a\0b", 3),
                                         "c\xff\xc3\xa4");
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->front().text(0),
              "a\xef\xbf\xbd"
              "b");
    EXPECT_EQ(rows->front().text(1), "c\xef\xbf\xbd\xc3\xa4");
    const std::string null("a\0b", 3);
    const auto listed = connection_->query(
        "SELECT unnest($1::text[]) UNION ALL SELECT unnest($2::text[])",
        std::vector<std::string>{null, ""}, std::vector<std::string_view>{null, "c", "\xff"});
    ASSERT_TRUE(listed) << listed.error().message;
    EXPECT_EQ(listed->texts(),
              (std::vector<std::string>{"a\uFFFDb", "", "a\uFFFDb", "c", "\uFFFD"}));
    EXPECT_FALSE(is_storable(null));
    EXPECT_FALSE(is_storable("\xff"));
    EXPECT_TRUE(is_storable("a\uFFFDb"));
    EXPECT_TRUE(is_storable(""));
}

TEST_F(ConnectionTest, SettingsOfTheCallerAreTheSessions) {
    for (const Pooler pooler : {Pooler::kNone, Pooler::kTransaction}) {
        options_.connect.pooler = pooler;
        options_.connect.settings = {{"enable_seqscan", "off"}, {"statement_timeout", "1234"}};
        const auto connection = connect();
        ASSERT_TRUE(connection->begin(Connection::Access::kReadOnly));
        const auto rows = connection->query(
            "SELECT current_setting('enable_seqscan'), current_setting('statement_timeout')");
        ASSERT_TRUE(rows) << rows.error().message;
        EXPECT_EQ(rows->front().text(0), "off");
        EXPECT_EQ(rows->front().text(1), "1234ms");
    }
}

TEST_F(ConnectionTest, ErrorsHaveTheCodeThatSaysWhatToDo) {
    ASSERT_TRUE(connection_->change("INSERT INTO thing VALUES (1, 'a')"));
    const auto twice = connection_->change("INSERT INTO thing VALUES (1, 'b')");
    EXPECT_EQ(twice.error().code, ErrorCode::kConflict);
    EXPECT_NE(twice.error().message.find("23505"), std::string::npos) << twice.error().message;
    EXPECT_EQ(connection_->change("SELECT 1 FROM nothing").error().code,
              ErrorCode::kFailedPrecondition);
    EXPECT_FALSE(connection_->is_lost());
}

TEST_F(ConnectionTest, TheServerBoundsStatementsAndWaitsForLocks) {
    ASSERT_TRUE(connection_->execute("SET statement_timeout = 50"));
    EXPECT_EQ(connection_->change("SELECT pg_sleep(60)").error().code,
              ErrorCode::kDeadlineExceeded);
    ASSERT_TRUE(connection_->execute("RESET statement_timeout; SET lock_timeout = 50"));
    const auto other = connect();
    ASSERT_TRUE(other->begin(Connection::Access::kReadWrite));
    ASSERT_TRUE(other->execute("LOCK TABLE thing"));
    EXPECT_EQ(connection_->change("INSERT INTO thing VALUES (2, 'a')").error().code,
              ErrorCode::kDeadlineExceeded);
    EXPECT_FALSE(connection_->is_lost());
}

TEST_F(ConnectionTest, ASessionHasTheTimeoutsFromItsStart) {
    const auto rows = connection_->query(
        "SELECT current_setting('statement_timeout'), current_setting('lock_timeout'), "
        "current_setting('idle_in_transaction_session_timeout'), "
        "current_setting('transaction_isolation')");
    ASSERT_TRUE(rows) << rows.error().message;
    EXPECT_EQ(rows->front().text(0), "5s");
    EXPECT_EQ(rows->front().text(1), "2s");
    EXPECT_EQ(rows->front().text(2), "5s");
    EXPECT_EQ(rows->front().text(3), "read committed");
}

TEST_F(ConnectionTest, BehindAPoolerNothingOutlivesATransaction) {
    options_.connect.pooler = Pooler::kTransaction;
    const auto pooled = connect();
    ASSERT_TRUE(pooled->begin(Connection::Access::kReadOnly));
    const auto inside = pooled->query(
        "SELECT count(*), current_setting('lock_timeout'), current_setting('search_path') FROM "
        "pg_prepared_statements");
    ASSERT_TRUE(inside) << inside.error().message;
    EXPECT_EQ(inside->front().integer(0), 0) << "no named statement";
    EXPECT_EQ(inside->front().text(1), "2s");
    EXPECT_EQ(inside->front().text(2), options_.connect.schema);
    ASSERT_TRUE(pooled->commit());
    const auto outside = pooled->query("SELECT current_setting('lock_timeout')");
    EXPECT_EQ(outside->front().text(0), "0");
    ASSERT_TRUE(connection_->query("SELECT name FROM thing"));
    EXPECT_EQ(connection_->query("SELECT count(*) FROM pg_prepared_statements")->front().integer(0),
              2);
}

TEST_F(ConnectionTest, ACommitAfterAFailedStatementIsAnError) {
    ASSERT_TRUE(connection_->begin(Connection::Access::kReadWrite));
    ASSERT_FALSE(connection_->change("SELECT 1 FROM nothing"));
    EXPECT_EQ(connection_->commit().error().code, ErrorCode::kInternal);
}

TEST_F(ConnectionTest, ASessionThatAnAdministratorEndsIsLost) {
    options_.connect.application_name = "victim";
    const auto victim = connect();
    testing::PostgresServer::end_sessions(options_, "nobody of that name");
    EXPECT_TRUE(victim->query("SELECT 1"));
    ASSERT_TRUE(
        connection_->query("SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity "
                           "WHERE application_name = 'victim'"));
    EXPECT_EQ(victim->query("SELECT 1").error().code, ErrorCode::kUnavailable);
    EXPECT_TRUE(victim->is_lost());
}

TEST_F(ConnectionTest, AnAnswerToACommitThatDoesNotArriveLeavesItOpen) {
    testing::PostgresProxy proxy(*server_);
    const auto through = Connection::open(proxy.through(options_).connect);
    ASSERT_TRUE(through) << through.error().message;
    ASSERT_TRUE((*through)->begin(Connection::Access::kReadWrite));
    ASSERT_TRUE((*through)->change("INSERT INTO thing VALUES (7, 'there')"));
    proxy.swallow_commit_answers(1);
    EXPECT_EQ((*through)->commit().error().code, ErrorCode::kUnknownOutcome);
    EXPECT_TRUE((*through)->is_lost());
    EXPECT_EQ(connection_->query("SELECT name FROM thing WHERE id = 7")->texts(),
              std::vector<std::string>{"there"});
}

// Who cancels the wait is answered COMMIT, with a warning beside it.
TEST_F(ConnectionTest, ACommitThatNoSynchronousStandbyHasTakenIsLeftOpen) {
    const auto set_standbys = [&](const char* names) {
        ASSERT_TRUE(connection_->execute("ALTER SYSTEM SET synchronous_standby_names = '" +
                                         std::string(names) + "'"));
        ASSERT_TRUE(connection_->execute("SELECT pg_reload_conf()"));
        EXPECT_TRUE(testing::eventually([&] {
            return connect()
                       ->query("SELECT current_setting('synchronous_standby_names')")
                       ->front()
                       .text(0) == names;
        }));
    };
    set_standbys("nobody");
    const auto writer = connect();
    ASSERT_TRUE(writer->begin(Connection::Access::kReadWrite));
    ASSERT_TRUE(writer->change("INSERT INTO thing VALUES (1, 'here')"));
    Result<void> committed;
    std::jthread waiting([&] { committed = writer->commit(); });
    EXPECT_TRUE(testing::eventually([&] {
        const auto ended = connection_->query(
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'SyncRep'");
        return ended && !ended->empty();
    }));
    waiting.join();
    set_standbys("");
    ASSERT_FALSE(committed);
    EXPECT_EQ(committed.error().code, ErrorCode::kUnknownOutcome);
    EXPECT_NE(committed.error().message.find("synchronous replication"), std::string::npos)
        << committed.error().message;
    EXPECT_FALSE(writer->is_lost());
}

TEST_F(ConnectionTest, NoServerIsUnavailable) {
    const auto refused = Connection::open({.conninfo = "host=/nonexistent"});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(refused.error().message.find('\n'), std::string::npos);
}

}  // namespace
}  // namespace export_worker::postgres
