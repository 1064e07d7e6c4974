#include "exportctl/bounded_check.hpp"

#include <gtest/gtest.h>

#include <semaphore>
#include <stdexcept>

namespace export_worker::exportctl {
namespace {

std::counting_semaphore<2> release(0);  // Outlives a check that is left behind.
std::counting_semaphore<2> released(0);

CheckEnd run(CheckResults (*check)(const Patient&), std::chrono::milliseconds timeout) {
    return run_bounded({"disk", check}, std::make_shared<const Patient>(), timeout);
}

TEST(BoundedCheck, GivesWhatWasFound) {
    const CheckEnd end = run(
        [](const Patient&) {
            return CheckResults{{"disk", "/", Health::kOk, "full of room"}};
        },
        std::chrono::seconds(20));
    EXPECT_FALSE(end.left_behind);
    ASSERT_EQ(end.results.size(), 1U);
    EXPECT_EQ(end.results[0].detail, "full of room");
}

TEST(BoundedCheck, OneThatHangsIsBadAndLeftBehind) {
    const CheckEnd end = run(
        [](const Patient&) {
            release.acquire();
            released.release();
            return CheckResults();
        },
        std::chrono::milliseconds(20));
    EXPECT_TRUE(end.left_behind);
    ASSERT_EQ(end.results.size(), 1U);
    EXPECT_EQ(end.results[0].health, Health::kBad);
    EXPECT_TRUE(end.results[0].detail.starts_with("no end within ")) << end.results[0].detail;
    EXPECT_FALSE(end.results[0].remedy.empty());
    release.release();
    released.acquire();
}

TEST(BoundedCheck, OneThatThrowsIsBad) {
    const CheckEnd end =
        run([](const Patient&) -> CheckResults { throw std::runtime_error("no such key"); },
            std::chrono::seconds(20));
    EXPECT_FALSE(end.left_behind);
    ASSERT_EQ(end.results.size(), 1U);
    EXPECT_EQ(end.results[0].health, Health::kBad);
    EXPECT_EQ(end.results[0].detail, "no such key");
}

}  // namespace
}  // namespace export_worker::exportctl
