#include "daemon/server/fair_queue.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <deque>
#include <thread>
#include <vector>

#include "tests/unit/support/eventually.hpp"

namespace export_worker::server {
namespace {

using testing::eventually;

class FairQueueTest : public ::testing::Test {
protected:
    Call& push(std::size_t peer_class) {
        Call& call = calls_.emplace_back();
        call.peer_class = peer_class;
        queue_.push(call);
        return call;
    }

    std::deque<Call> calls_;
    FairQueue queue_;
};

TEST_F(FairQueueTest, CallsOfOneClassKeepTheirOrder) {
    const Call& first = push(3);
    const Call& second = push(3);
    EXPECT_EQ(queue_.try_pop(), &first);
    const Call& third = push(3);
    EXPECT_EQ(queue_.try_pop(), &second);
    EXPECT_EQ(queue_.try_pop(), &third);
    EXPECT_EQ(queue_.try_pop(), nullptr);
}

TEST_F(FairQueueTest, ClassesTakeTurns) {
    for (int count = 0; count < 100; ++count) push(7);
    push(limits::kPeerClasses - 1);
    push(0);
    push(0);
    std::vector<std::size_t> classes;
    for (int count = 0; count < 6; ++count) classes.push_back(queue_.try_pop()->peer_class);
    EXPECT_EQ(classes, (std::vector<std::size_t>{0, 7, limits::kPeerClasses - 1, 0, 7, 7}));
}

TEST_F(FairQueueTest, AnEmptiedClassCanBeFilledAgain) {
    for (int round = 0; round < 3; ++round) {
        const Call& call = push(5);
        EXPECT_EQ(queue_.try_pop(), &call);
        EXPECT_EQ(queue_.try_pop(), nullptr);
    }
}

TEST_F(FairQueueTest, AFullQueueTakesNoMore) {
    std::array<Call, 3> calls;
    EXPECT_TRUE(queue_.try_push(calls[0], 2));
    EXPECT_TRUE(queue_.try_push(calls[1], 2));
    EXPECT_FALSE(queue_.try_push(calls[2], 2));
    EXPECT_EQ(queue_.try_pop(), &calls[0]);
    EXPECT_TRUE(queue_.try_push(calls[2], 2));
}

TEST_F(FairQueueTest, CallsThatComeTogetherWakeAThreadEach) {
    constexpr int kThreads = 4;
    std::atomic<int> popped{0};
    std::vector<std::thread> threads;
    for (int count = 0; count < kThreads; ++count) {
        threads.emplace_back([&] {
            EXPECT_NE(queue_.pop(), nullptr);
            ++popped;
            // Holds its thread, as a slow call does: the others have to wake up for theirs.
            EXPECT_TRUE(eventually([&] { return popped.load() == kThreads; }));
        });
    }
    for (int count = 0; count < kThreads; ++count) push(1);
    for (std::thread& thread : threads) thread.join();
    EXPECT_EQ(queue_.try_pop(), nullptr);
}

TEST_F(FairQueueTest, ClosingEndsTheWaitAndHandsNothingOut) {
    std::thread waiting([&] { EXPECT_EQ(queue_.pop(), nullptr); });
    queue_.close();
    waiting.join();
    push(1);
    EXPECT_EQ(queue_.pop(), nullptr);
}

}  // namespace
}  // namespace export_worker::server
