#include "base/backoff.hpp"

#include <gtest/gtest.h>

#include <algorithm>

namespace export_worker {
namespace {

using std::chrono::microseconds;
using std::chrono::seconds;

// The largest and smallest of many draws.
std::pair<microseconds, microseconds> spread(microseconds base, microseconds max, int failures) {
    microseconds low = full_jitter(base, max, failures);
    microseconds high = low;
    for (int draw = 0; draw < 2'000; ++draw) {
        const microseconds delay = full_jitter(base, max, failures);
        low = std::min(low, delay);
        high = std::max(high, delay);
    }
    return {low, high};
}

TEST(Backoff, DoublesUpToItsBound) {
    for (const auto& [failures, whole_seconds] :
         {std::pair(0, seconds(1)), std::pair(1, seconds(2)), std::pair(3, seconds(8)),
          std::pair(9, seconds(60)), std::pair(1'000'000, seconds(60))}) {
        const microseconds bound = whole_seconds;
        const auto [low, high] = spread(seconds(1), seconds(60), failures);
        EXPECT_GE(low, microseconds(0));
        EXPECT_LT(low, bound / 10) << "full jitter begins at nothing";
        EXPECT_GT(high, bound * 9 / 10);
        EXPECT_LE(high, bound);
    }
}

TEST(Backoff, TheLongestBaseDoesNotOverflow) {
    const auto [low, high] = spread(std::chrono::hours(1), std::chrono::hours(24), 1'000);
    EXPECT_GE(low, microseconds(0));
    EXPECT_LE(high, std::chrono::hours(24));
}

TEST(Backoff, FewerThanNoFailuresAreNone) {
    const auto [low, high] = spread(seconds(1), seconds(60), -1);
    EXPECT_LE(high, seconds(1));
}

}  // namespace
}  // namespace export_worker
