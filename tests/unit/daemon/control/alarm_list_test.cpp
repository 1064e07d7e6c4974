#include "daemon/control/alarm_list.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::control {
namespace {

using model::Alarm;
using testing::eventually;

class AlarmListTest : public ::testing::Test {
protected:
    void start() {
        list_.start([this] {
            const std::lock_guard lock(mutex_);
            return wrong_;
        });
    }
    void set(std::vector<Alarm> wrong) {
        const std::lock_guard lock(mutex_);
        wrong_ = std::move(wrong);
    }

    testing::FakeClock clock_;
    std::mutex mutex_;
    std::vector<Alarm> wrong_;
    AlarmList list_{clock_};
};

TEST_F(AlarmListTest, IsEmptyUntilItIsStarted) {
    set({{"disk", "/a", "full", "", 0}});
    EXPECT_TRUE(list_.read().empty());
    EXPECT_TRUE(list_.names().empty());
}

TEST_F(AlarmListTest, RemembersSinceWhenByNameAndSubject) {
    start();
    set({{"disk", "/a", "9 MiB are free", "make room", 0}});
    const std::int64_t first = list_.read().at(0).since_unix_us;
    EXPECT_EQ(first, clock_.unix_us());
    clock_.advance(std::chrono::seconds(10));
    set({{"disk", "/a", "8 MiB are free", "make room", 0},
         {"disk", "/b", "9 MiB are free", "make room", 0}});
    const std::vector<Alarm> now = list_.read();
    ASSERT_EQ(now.size(), 2U);
    EXPECT_EQ(now[0].cause, "8 MiB are free");
    EXPECT_EQ(now[0].since_unix_us, first);
    EXPECT_EQ(now[1].since_unix_us, clock_.unix_us());
}

TEST_F(AlarmListTest, AnotherCauseHasItsOwnTimeWhateverTheFigures) {
    start();
    set({{"plugin", "p", "pinned to 0123 by rollback", "", 0}});
    const std::int64_t pinned = list_.read().at(0).since_unix_us;
    clock_.advance(std::chrono::seconds(10));
    set({{"plugin", "p", "pinned to 4567 by rollback", "", 0},
         {"plugin", "p", "the configured file was refused", "", 0}});
    const std::vector<Alarm> now = list_.read();
    EXPECT_EQ(now.at(0).since_unix_us, pinned);
    EXPECT_EQ(now.at(1).since_unix_us, clock_.unix_us());
}

TEST_F(AlarmListTest, WhatCameBackIsNew) {
    start();
    set({{"disk", "/a", "full", "", 0}});
    (void)list_.read();
    set({});
    EXPECT_TRUE(list_.read().empty());
    clock_.advance(std::chrono::seconds(10));
    set({{"disk", "/a", "full", "", 0}});
    EXPECT_EQ(list_.read().at(0).since_unix_us, clock_.unix_us());
}

// Nobody reads, but the names follow.
TEST_F(AlarmListTest, LooksByItself) {
    set({{"webhook", "acme", "silent", "", 0}, {"webhook", "zeta", "silent", "", 0}});
    start();
    EXPECT_TRUE(
        eventually([this] { return list_.names() == std::vector<std::string>{"webhook"}; }));
    set({});
    EXPECT_TRUE(eventually([this] { return list_.names().empty(); }));
}

TEST_F(AlarmListTest, LooksNoMoreOnceItIsStopped) {
    start();
    list_.stop();
    set({{"disk", "/a", "full", "", 0}});
    EXPECT_TRUE(list_.read().empty());
}

}  // namespace
}  // namespace export_worker::control
