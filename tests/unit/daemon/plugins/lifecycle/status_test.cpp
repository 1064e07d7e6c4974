#include "daemon/plugins/lifecycle/status.hpp"

#include <gtest/gtest.h>

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

TEST(LateLoadAlarm, ComesWhenTheProbeAndTheCallsHaveHadTheirTime) {
    EXPECT_FALSE(late_load_alarm("p", 7, seconds(25), milliseconds(10'000)));
    const auto late = late_load_alarm("p", 7, seconds(26), milliseconds(10'000));
    ASSERT_TRUE(late);
    EXPECT_EQ(late->name, "plugin");
    EXPECT_EQ(late->subject, "p");
    EXPECT_EQ(late->cause, "report 7 has been worked on for 26 s; other loads wait for it");
    EXPECT_EQ(late->remedy, "restart the daemon when convenient");
}

}  // namespace
}  // namespace export_worker::plugins
