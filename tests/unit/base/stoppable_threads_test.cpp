#include "base/stoppable_threads.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/support/eventually.hpp"

namespace export_worker {
namespace {

constexpr std::chrono::hours kLong{1};

TEST(StoppableThreads, StopEndsEveryWaitAndReturnsAfterTheThreads) {
    std::atomic<int> waiting{0};
    std::atomic<int> ended{0};
    StoppableThreads threads;
    const auto count = [&](bool goes_on) { ended += goes_on ? 0 : 1; };
    threads.start([&] {
        ++waiting;
        count(threads.wait_for(kLong));
    });
    threads.start([&] {
        ++waiting;
        count(threads.wait_for(kLong, threads.wakes()));
    });
    EXPECT_TRUE(testing::eventually([&] { return waiting.load() == 2; }));
    EXPECT_FALSE(threads.stopping().load());
    threads.stop();
    EXPECT_EQ(ended.load(), 2);
    EXPECT_TRUE(threads.stopping().load());
    threads.stop();
    EXPECT_FALSE(threads.wait_for(kLong)) << "nothing waits any more";
}

TEST(StoppableThreads, AWakeAfterTheLookIsNotWaitedThrough) {
    StoppableThreads threads;
    const std::uint64_t seen = threads.wakes();
    threads.wake();
    EXPECT_TRUE(threads.wait_for(kLong, seen));
    EXPECT_TRUE(threads.wait_for(std::chrono::milliseconds(1), threads.wakes()));
}

TEST(StoppableThreads, AWakeEndsOnlyWaitsThatAskForIt) {
    std::atomic<bool> woken{false};
    std::atomic<bool> waited{false};
    StoppableThreads threads;
    threads.start([&] { woken = threads.wait_for(kLong, 0); });
    threads.start([&] {
        (void)threads.wait_for(kLong);
        waited = true;
    });
    threads.wake();
    EXPECT_TRUE(testing::eventually([&] { return woken.load(); }));
    EXPECT_FALSE(waited.load());
    threads.request_stop();
    EXPECT_TRUE(testing::eventually([&] { return waited.load(); }));
}

}  // namespace
}  // namespace export_worker
