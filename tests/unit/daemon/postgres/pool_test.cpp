#include "daemon/postgres/pool.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::postgres {
namespace {

using PoolTest = testing::PostgresTest;

TEST_F(PoolTest, LendsAtMostAsManyAsItMayAndWaitsForTheNext) {
    Pool pool(options_.connect, 1);
    auto first = pool.borrow();
    ASSERT_TRUE(first) << first.error().message;
    const Connection* lent = first->get();
    std::thread other([&] {
        auto second = pool.borrow();
        ASSERT_TRUE(second) << second.error().message;
        EXPECT_EQ(second->get(), lent);
        pool.give_back(std::move(*second));
    });
    pool.give_back(std::move(*first));
    other.join();
}

TEST_F(PoolTest, ACallerDoesNotWaitForEver) {
    Pool pool(options_.connect, 1, std::chrono::milliseconds(20));
    auto first = pool.borrow();
    ASSERT_TRUE(first);
    const auto refused = pool.borrow();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(refused.error().message.find("all connections are in use"), std::string::npos);
    pool.give_back(std::move(*first));
}

TEST_F(PoolTest, AConnectionThatHasEndedIsNotLentAgain) {
    options_.connect.application_name = "pool";
    Pool pool(options_.connect, 1);
    auto first = pool.borrow();
    ASSERT_TRUE(first);
    auto killer = options_;
    killer.connect.application_name = "killer";
    testing::PostgresServer::end_sessions(killer, "pool");
    EXPECT_FALSE((*first)->query("SELECT 1"));
    pool.give_back(std::move(*first));
    auto second = pool.borrow();
    ASSERT_TRUE(second) << second.error().message;
    EXPECT_TRUE((*second)->query("SELECT 1"));
    pool.give_back(std::move(*second));
}

TEST_F(PoolTest, AServerThatIsAwayIsTriedAgainLater) {
    Pool pool({.conninfo = "host=/nonexistent"}, 2);
    for (int times = 0; times < 3; ++times) {
        const auto refused = pool.borrow();
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    }
}

}  // namespace
}  // namespace export_worker::postgres
