#include "daemon/plugins/lifecycle/bake.hpp"

#include <gtest/gtest.h>

namespace export_worker::plugins {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;

TrafficStats traffic(int requests, nanoseconds each, int failed = 0) {
    TrafficCounters counters;
    for (int count = 0; count < requests; ++count)
        counters.count(static_cast<std::size_t>(count), each, count < failed);
    return counters.read();
}

TEST(TrafficStats, AQuantileIsAtMostAnEighthTooHigh) {
    for (const auto each : {nanoseconds(100), nanoseconds(12'345), nanoseconds(7'654'321),
                            nanoseconds(3'000'000'000)}) {
        const auto found = traffic(1000, each).quantile(0.99);
        EXPECT_GE(found, each);
        EXPECT_LE(found.count(), each.count() * 9 / 8 + 1);
    }
    EXPECT_EQ(TrafficStats().quantile(0.99).count(), 0);
    TrafficCounters mixed;
    for (int count = 0; count < 100; ++count)
        mixed.count(0, count < 98 ? microseconds(10) : milliseconds(10), false);
    EXPECT_LT(mixed.read().quantile(0.5), microseconds(12));
    EXPECT_GT(mixed.read().quantile(0.99), milliseconds(9));
}

// The reason by the bounds as they are by default.
std::optional<std::string> judge(const TrafficStats& old_generation,
                                 const TrafficStats& new_generation, nanoseconds longest = {},
                                 std::uint64_t failed_alike = 0) {
    return reason_to_roll_back({old_generation, failed_alike, new_generation, longest}, {});
}

TEST(Bake, AHealthyGenerationStays) {
    const auto old = traffic(1000, microseconds(50));
    EXPECT_FALSE(judge(old, traffic(1000, microseconds(60))));
    EXPECT_FALSE(judge(old, TrafficStats()));
}

TEST(Bake, FailuresBeyondTheOldShareTakeItBack) {
    const auto old = traffic(1000, microseconds(50), 20);  // 2 %
    EXPECT_FALSE(judge(old, traffic(1000, microseconds(50), 29)));
    const auto why = judge(old, traffic(1000, microseconds(50), 31));
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("31 of 1000"), std::string::npos);
    // Two failures prove nothing, however few the requests.
    EXPECT_FALSE(judge(old, traffic(2, microseconds(50), 2)));
    EXPECT_TRUE(judge(old, traffic(3, microseconds(50), 3)));
}

TEST(Bake, WhatTheOldGenerationFailsOnTooIsNotHeldAgainstTheNewOne) {
    const auto old = traffic(1000, microseconds(50));
    const auto all_failed = traffic(500, microseconds(50), 500);
    EXPECT_TRUE(judge(old, all_failed));
    EXPECT_FALSE(judge(old, all_failed, {}, 500));
    EXPECT_FALSE(judge(old, all_failed, {}, 497));
    const auto why = judge(old, all_failed, {}, 490);
    ASSERT_TRUE(why);
    EXPECT_NE(why->find("10 of 500"), std::string::npos);
    EXPECT_FALSE(judge(old, all_failed, {}, 900));  // It fails on requests of its own, too.
}

TEST(Bake, LatencyBeyondTheBoundTakesItBack) {
    const auto old = traffic(1000, milliseconds(2));
    EXPECT_FALSE(judge(old, traffic(1000, milliseconds(7))));
    EXPECT_TRUE(judge(old, traffic(1000, milliseconds(12))));
    // Never below the floor, and never on a handful of requests.
    EXPECT_FALSE(judge(traffic(1000, microseconds(1)), traffic(1000, milliseconds(4))));
    EXPECT_FALSE(judge(old, traffic(99, milliseconds(12))));
    EXPECT_FALSE(judge(traffic(99, milliseconds(2)), traffic(1000, milliseconds(12))));
}

TEST(Bake, AStallTakesItBack) {
    const auto old = traffic(1000, microseconds(50));
    EXPECT_FALSE(judge(old, TrafficStats(), milliseconds(1999)));
    EXPECT_TRUE(judge(old, TrafficStats(), milliseconds(2001)));
}

}  // namespace
}  // namespace export_worker::plugins
