#include "base/rate_limiter.hpp"
#include "base/limits.hpp"

#include <gtest/gtest.h>

namespace export_worker {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

const SteadyTime kStart{seconds(1'000)};

TEST(RateLimiter, ABurstThenSoManyASecond) {
    RateLimiter limiter(10, 3);
    for (int count = 0; count < 3; ++count) EXPECT_FALSE(limiter.take(1, kStart));
    const auto wait = limiter.take(1, kStart);
    ASSERT_TRUE(wait);
    EXPECT_EQ(*wait, milliseconds(100));
    EXPECT_FALSE(limiter.take(2, kStart)) << "another caller";
    EXPECT_TRUE(limiter.take(1, kStart + milliseconds(99)));
    EXPECT_FALSE(limiter.take(1, kStart + milliseconds(100)));
    EXPECT_TRUE(limiter.take(1, kStart + milliseconds(100)));
    int granted = 0;
    for (int at = 0; at < 10'000; ++at)
        granted += limiter.take(3, kStart + milliseconds(at)) ? 0 : 1;
    EXPECT_EQ(granted, 102);  // 10 s of 10, and the burst's other two.
}

TEST(RateLimiter, WaitingIsNotCounted) {
    RateLimiter limiter(10, 1);
    EXPECT_FALSE(limiter.wait(1, kStart));
    EXPECT_FALSE(limiter.take(1, kStart));
    EXPECT_EQ(limiter.wait(1, kStart), milliseconds(100));
    EXPECT_EQ(limiter.wait(1, kStart + milliseconds(60)), milliseconds(40));
    EXPECT_FALSE(limiter.wait(1, kStart + milliseconds(100)));
    EXPECT_FALSE(limiter.wait(2, kStart));
    EXPECT_EQ(limiter.size(), 1U);
}

TEST(RateLimiter, ZeroIsNoLimit) {
    RateLimiter limiter(0, 1);
    for (int count = 0; count < 1000; ++count) EXPECT_FALSE(limiter.take(1, kStart));
    EXPECT_EQ(limiter.size(), 0U);
}

TEST(RateLimiter, RemembersABoundedNumberOfCallers) {
    RateLimiter limiter(1, 1);
    for (std::uint64_t caller = 0; caller < limits::kRateEntriesMax; ++caller)
        ASSERT_FALSE(limiter.take(caller, kStart));
    EXPECT_TRUE(limiter.take(7, kStart));
    EXPECT_FALSE(limiter.take(limits::kRateEntriesMax, kStart + seconds(2)));
    EXPECT_EQ(limiter.size(), 1U) << "who has been quiet is forgotten";
    for (std::uint64_t caller = 0; caller <= limits::kRateEntriesMax; ++caller)
        ASSERT_LE(limiter.size(), limits::kRateEntriesMax)
            << (void(limiter.take(caller, kStart)), 0);
}

}  // namespace
}  // namespace export_worker
