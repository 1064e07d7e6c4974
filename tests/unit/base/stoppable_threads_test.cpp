#include "base/stoppable_threads.hpp"

#include <gtest/gtest.h>

#include <atomic>

#include "tests/unit/support/eventually.hpp"

namespace export_worker {
namespace {

constexpr std::chrono::hours kLong{1};

TEST(StoppableThreads, StopEndsEverySleepAndWaitsForTheThreads) {
    std::atomic<int> asleep{0};
    std::atomic<int> ended{0};
    StoppableThreads threads;
    const auto count = [&](bool goes_on) { ended += goes_on ? 0 : 1; };
    threads.start([&] {
        ++asleep;
        count(threads.sleep(kLong));
    });
    threads.start([&] {
        ++asleep;
        count(threads.sleep(kLong, threads.wakes()));
    });
    EXPECT_TRUE(testing::eventually([&] { return asleep.load() == 2; }));
    EXPECT_FALSE(threads.stopping().load());
    threads.stop();
    EXPECT_EQ(ended.load(), 2);
    EXPECT_TRUE(threads.stopping().load());
    threads.stop();
    EXPECT_FALSE(threads.sleep(kLong)) << "nothing sleeps any more";
}

TEST(StoppableThreads, AWakeAfterTheLookIsNotSleptThrough) {
    StoppableThreads threads;
    const std::uint64_t seen = threads.wakes();
    threads.wake();
    EXPECT_TRUE(threads.sleep(kLong, seen));
    EXPECT_TRUE(threads.sleep(std::chrono::milliseconds(1), threads.wakes()));
}

TEST(StoppableThreads, AWakeEndsOnlySleepsThatAskForIt) {
    std::atomic<bool> woken{false};
    std::atomic<bool> slept{false};
    StoppableThreads threads;
    threads.start([&] { woken = threads.sleep(kLong, 0); });
    threads.start([&] {
        (void)threads.sleep(kLong);
        slept = true;
    });
    threads.wake();
    EXPECT_TRUE(testing::eventually([&] { return woken.load(); }));
    EXPECT_FALSE(slept.load());
    threads.request_stop();
    EXPECT_TRUE(testing::eventually([&] { return slept.load(); }));
}

}  // namespace
}  // namespace export_worker
