#include "daemon/server/stuck_requests.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/log.hpp"

namespace export_worker::server {
namespace {

using std::chrono::seconds;

TEST(StuckRequests, AnEntryNamesTheLongestRequest) {
    std::vector<StuckRequests> list;
    add_stuck(list, {"a", 1, 1, seconds(2), "r1", 5});
    add_stuck(list, {"a", 1, 1, seconds(3), "r2", 6});
    add_stuck(list, {"a", 1, 1, seconds(1), "r3", 7});
    add_stuck(list, {"a", 2, 1, seconds(9), "r4", 8});
    add_stuck(list, {"b", 1, 1, seconds(9), "r5", 9});
    ASSERT_EQ(list.size(), 3U);
    EXPECT_EQ(list[0].count, 3U);
    EXPECT_EQ(list[0].longest, seconds(3));
    EXPECT_EQ(list[0].request_id, "r2");
    EXPECT_EQ(list[0].worker, 6U);
}

TEST(StuckRequests, AnAlarmSaysWhatToDo) {
    const model::Alarm alarm = to_alarm({"a", 2, 3, seconds(34), "r1", 5});
    EXPECT_EQ(alarm.name, "plugin_stuck");
    EXPECT_EQ(alarm.subject, "a generation 2");
    EXPECT_EQ(alarm.cause,
              "3 requests are past their deadline and still inside handle(), the longest for 34 s "
              "(request r1, worker 5)");
    EXPECT_EQ(alarm.remedy,
              "replace its code (exportctl plugin rollback a, or reload a repaired file); restart "
              "the daemon when convenient to free the workers");
    EXPECT_TRUE(to_alarm({"a", 2, 3, seconds(34), "r1", 5, true}).cause.ends_with("are refused"));
    EXPECT_EQ(to_alarm({"a", 2, 3, seconds(34), "r1", 5, false, true}).remedy,
              "restart the daemon when convenient to free the workers");
}

TEST(StuckRequestList, LogsWhatChangesOnce) {
    StuckRequestList list;
    list.set({});
    list.set({{"once", 1, 1, seconds(2), "r1", 5}});
    EXPECT_TRUE(testing::has_logged("plugin once generation 1: 1 requests"));
    list.set({{"once", 1, 2, seconds(3), "r2", 5}});
    EXPECT_FALSE(testing::has_logged("plugin once generation 1: 2 requests"));
    EXPECT_EQ(list.read()[0].count, 2U);
    list.set({{"once", 1, 3, seconds(4), "r3", 5, true}});
    EXPECT_TRUE(testing::has_logged("plugin once generation 1: 3 requests"));
    EXPECT_FALSE(testing::has_logged("plugin once generation 1: the requests"));
    list.set({});
    EXPECT_TRUE(testing::has_logged("plugin once generation 1: the requests"));
    EXPECT_TRUE(list.read().empty());
}

}  // namespace
}  // namespace export_worker::server
