#include "daemon/plugins/running/plugin_thread.hpp"

#include <gtest/gtest.h>

#include <future>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;

class PluginThreadTest : public ::testing::Test {
protected:
    // A call that returns once `release_` is set.
    std::function<void()> hang() {
        return [released = released_] { released.wait(); };
    }
    bool run_until_given_up(milliseconds timeout) {
        auto returned = std::async(std::launch::async, [&] {
            return thread_.run({"p", "a"}, hang(), timeout);
        });
        EXPECT_TRUE(testing::eventually([&] {
            clock_.advance(milliseconds(100));
            return returned.wait_for(milliseconds(0)) == std::future_status::ready;
        }));
        return returned.get();
    }

    std::promise<void> release_;
    const std::shared_future<void> released_{release_.get_future()};
    testing::FakeClock clock_;
    PluginThread thread_{clock_};
};

TEST_F(PluginThreadTest, CallsRunOneAfterTheOtherOnOneThread) {
    std::thread::id first;
    std::thread::id second;
    EXPECT_TRUE(thread_.run(
        {"p", "a"}, [&] { first = std::this_thread::get_id(); }, milliseconds(1)));
    EXPECT_TRUE(thread_.run(
        {"p", "b"}, [&] { second = std::this_thread::get_id(); }, milliseconds(1)));
    EXPECT_EQ(first, second);
    EXPECT_NE(first, std::this_thread::get_id());
    EXPECT_TRUE(thread_.hung().empty());
}

TEST_F(PluginThreadTest, ACallThatHangsIsLeftBehindUntilItReturns) {
    EXPECT_FALSE(run_until_given_up(milliseconds(1000)));
    ASSERT_EQ(thread_.hung().size(), 1U);
    EXPECT_EQ(thread_.hung()[0].call.what, "a");
    EXPECT_GE(thread_.hung()[0].running, milliseconds(1000));
    bool ran = false;
    EXPECT_TRUE(thread_.run(
        {"p", "b"}, [&] { ran = true; }, milliseconds(1000)));
    EXPECT_TRUE(ran);
    release_.set_value();
    EXPECT_TRUE(testing::eventually([&] { return thread_.hung().empty(); }));
}

TEST_F(PluginThreadTest, HurryShortensEveryCall) {
    thread_.hurry(milliseconds(500));
    const SteadyTime began = clock_.steady();
    EXPECT_FALSE(run_until_given_up(std::chrono::hours(24)));
    EXPECT_LT(clock_.steady() - began, std::chrono::hours(1));
    release_.set_value();
}

// As a plugin's may.
struct Hanging {
    std::shared_future<void> release;
    ~Hanging() {
        if (release.valid()) release.wait();
    }
};
thread_local Hanging hanging;

TEST_F(PluginThreadTest, AThreadLocalDestructorThatHangsIsLeftBehindByStop) {
    EXPECT_TRUE(thread_.run(
        {"p", "a"}, [released = released_] { hanging.release = released; }, milliseconds(1000)));
    EXPECT_TRUE(thread_.hung().empty());
    thread_.stop();
    ASSERT_EQ(thread_.hung().size(), 1U);
    EXPECT_EQ(thread_.hung()[0].call.what, "a thread-local destructor after a");
    thread_.stop();
    EXPECT_EQ(thread_.hung().size(), 1U);
    release_.set_value();
}

TEST_F(PluginThreadTest, TheMachinesClockEndsTheWait) {
    PluginThread thread(system_clock());
    EXPECT_FALSE(thread.run({"p", "a"}, hang(), milliseconds(20)));
    release_.set_value();
    EXPECT_TRUE(testing::eventually([&] { return thread.hung().empty(); }));
}

}  // namespace
}  // namespace export_worker::plugins
