#include "base/bounded_thread.hpp"

#include <gtest/gtest.h>

#include <future>
#include <memory>

namespace export_worker {
namespace {

using std::chrono::milliseconds;

constexpr milliseconds kLong{30'000};

TEST(BoundedThread, JoinsWhatHasEnded) {
    bool ran = false;
    BoundedThread thread([&] { ran = true; });
    EXPECT_TRUE(thread.join_within(kLong));
    EXPECT_TRUE(ran);
    EXPECT_TRUE(thread.join_within(milliseconds(0)));
    EXPECT_TRUE(BoundedThread().join_within(milliseconds(0)));
}

// Hangs at the end of its thread until it is told to go on.
struct Hanging {
    std::shared_future<void> release;
    ~Hanging() {
        if (release.valid()) release.wait();
    }
};
thread_local Hanging hanging;

TEST(BoundedThread, DoesNotWaitForAThreadLocalDestructorThatHangs) {
    std::promise<void> release;
    std::promise<void> ended;
    BoundedThread thread([&, released = release.get_future().share()] {
        hanging.release = released;
        ended.set_value();
    });
    ended.get_future().wait();
    EXPECT_FALSE(thread.join_within(milliseconds(0)));
    EXPECT_FALSE(thread.join_within(milliseconds(10)));
    BoundedThread moved = std::move(thread);
    release.set_value();
    EXPECT_TRUE(moved.join_within(kLong));
}

TEST(BoundedThread, LeavesBehindWhatWasNotJoined) {
    const auto release = std::make_shared<std::promise<void>>();
    std::promise<void> ended;
    {
        const BoundedThread thread([release, &ended] {
            release->get_future().wait();
            ended.set_value();
        });
    }
    release->set_value();
    ended.get_future().wait();
}

}  // namespace
}  // namespace export_worker
