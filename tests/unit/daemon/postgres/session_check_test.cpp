#include "daemon/postgres/session_check.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

class SessionCheckTest : public testing::PostgresTest {
protected:
    // Where the first statement of `other` was prepared by a stranger, as in a session that a
    // pooler lends to two.
    Result<void> check_with(const std::string& strangers) {
        const auto own = connect();
        const auto other = connect();
        EXPECT_TRUE(other->execute("PREPARE s0 AS " + strangers));
        return check_sessions(*own, *other);
    }
};

TEST_F(SessionCheckTest, SessionsOfItsOwnAreGood) {
    const auto a = connect();
    const auto b = connect();
    const auto checked = check_sessions(*a, *b);
    EXPECT_TRUE(checked) << checked.error().message;
}

TEST_F(SessionCheckTest, AStatementOfAStrangerIsRefused) {
    const auto checked = check_with("SELECT 7::bigint");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(checked.error().message.find("set pooler = transaction"), std::string::npos)
        << checked.error().message;
}

TEST_F(SessionCheckTest, AStatementThatGoesAwayIsRefused) {
    const auto a = connect();
    const auto b = connect();
    ASSERT_TRUE(check_sessions(*a, *b));
    ASSERT_TRUE(a->execute("DEALLOCATE s0"));
    EXPECT_EQ(check_sessions(*a, *b).error().code, ErrorCode::kFailedPrecondition);
}

TEST_F(SessionCheckTest, ASessionWithoutItsSettingsIsRefused) {
    const auto a = connect();
    const auto b = connect();
    ASSERT_TRUE(b->execute("SET search_path = public"));
    const auto checked = check_sessions(*a, *b);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(checked.error().message.find("search_path public"), std::string::npos)
        << checked.error().message;
}

TEST_F(SessionCheckTest, ALostConnectionIsNoPooler) {
    const auto a = connect();
    const auto b = connect();
    EXPECT_FALSE(b->execute("SELECT pg_terminate_backend(pg_backend_pid())"));
    EXPECT_EQ(check_sessions(*a, *b).error().code, ErrorCode::kUnavailable);
}

TEST_F(SessionCheckTest, BehindAPoolerThatIsKnownNothingIsAsked) {
    options_.connect.pooler = Pooler::kTransaction;
    const auto a = connect();
    const auto b = connect();
    ASSERT_TRUE(b->execute("PREPARE s0 AS SELECT 7::bigint"));
    EXPECT_TRUE(check_sessions(*a, *b));
}

}  // namespace
}  // namespace export_worker::postgres
