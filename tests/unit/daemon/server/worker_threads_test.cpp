#include "daemon/server/worker_threads.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <optional>
#include <set>

#include "daemon/server/limits.hpp"
#include "tests/unit/support/eventually.hpp"

namespace export_worker::server {
namespace {

using std::chrono::milliseconds;
using testing::eventually;

constexpr milliseconds kLong{30'000};

class WorkerThreadsTest : public ::testing::Test {
protected:
    void TearDown() override {
        end_all_.store(true);
        EXPECT_EQ(threads_->join(kLong), 0U);
    }
    void start(unsigned wanted) {
        threads_.emplace(wanted, [this](unsigned number) { run(number); });
    }
    // Until it is told to end: all are, it is one too many, or one is asked for by its number.
    void run(unsigned number) {
        {
            const std::lock_guard lock(mutex_);
            running_.insert(number);
        }
        ASSERT_TRUE(eventually([&] {
            return end_all_.load() || end_one_.load() == number ||
                   (may_leave_.load() && threads_->leave_if_surplus());
        }));
        const std::lock_guard lock(mutex_);
        running_.erase(number);
    }
    std::set<unsigned> running() {
        const std::lock_guard lock(mutex_);
        return running_;
    }
    bool run_exactly(std::size_t count) {
        return eventually([&] { return running().size() == count; });
    }

    std::mutex mutex_;
    std::set<unsigned> running_;  // Guarded by mutex_.
    std::atomic<bool> end_all_{false};
    std::atomic<bool> may_leave_{false};
    std::atomic<unsigned> end_one_{0};
    std::optional<WorkerThreads> threads_;
};

TEST_F(WorkerThreadsTest, AsManyAsWantedRun) {
    start(3);
    EXPECT_TRUE(eventually([&] { return running() == std::set<unsigned>{1, 2, 3}; }));
    EXPECT_FALSE(threads_->leave_if_surplus());
    EXPECT_EQ(threads_->stalled(), 0U);
}

TEST_F(WorkerThreadsTest, EachStalledOneIsReplacedOnce) {
    start(2);
    threads_->replace_stalled(1);
    EXPECT_TRUE(run_exactly(3));
    threads_->replace_stalled(1);
    threads_->replace_stalled(2);
    EXPECT_TRUE(eventually([&] { return running() == std::set<unsigned>{1, 2, 3, 4}; }));
    EXPECT_EQ(threads_->stalled(), 2U);
    EXPECT_FALSE(threads_->leave_if_surplus());
}

TEST_F(WorkerThreadsTest, AsManyLeaveAsHaveComeBack) {
    start(2);
    threads_->replace_stalled(3);
    EXPECT_TRUE(run_exactly(5));
    threads_->replace_stalled(1);
    may_leave_.store(true);
    EXPECT_TRUE(run_exactly(3));
    EXPECT_FALSE(threads_->leave_if_surplus());
    threads_->replace_stalled(0);
    EXPECT_TRUE(run_exactly(2));
    EXPECT_FALSE(threads_->leave_if_surplus());
    // The next replacement has a number of its own.
    threads_->replace_stalled(1);
    EXPECT_TRUE(eventually([&] { return running().contains(6); }));
}

TEST_F(WorkerThreadsTest, ReplacementsAreBounded) {
    start(1);
    threads_->replace_stalled(limits::kWorkersReplacedMax + 10);
    EXPECT_EQ(threads_->stalled(), limits::kWorkersReplacedMax);
    EXPECT_TRUE(run_exactly(1 + limits::kWorkersReplacedMax));
    threads_->replace_stalled(limits::kWorkersReplacedMax + 10);
    EXPECT_EQ(running().size(), 1 + limits::kWorkersReplacedMax);
}

TEST_F(WorkerThreadsTest, JoinSaysHowManyAreLeftBehind) {
    start(3);
    end_one_.store(2);
    EXPECT_TRUE(eventually([&] { return threads_->join(milliseconds(0)) == 2; }));
    EXPECT_EQ(threads_->join(milliseconds(1)), 2U);
    end_all_.store(true);
    EXPECT_EQ(threads_->join(kLong), 0U);
    EXPECT_EQ(threads_->join(kLong), 0U);
}

// As a plugin's may.
struct Hanging {
    const std::atomic<bool>* release = nullptr;
    ~Hanging() {
        if (release == nullptr) return;
        EXPECT_TRUE(eventually([this] { return release->load(); }));
    }
};
thread_local Hanging hanging;

TEST(WorkerThreads, AThreadLocalDestructorThatHangsHoldsUpNothing) {
    std::atomic<bool> release{false};
    std::atomic<bool> ended{false};
    WorkerThreads threads(1, [&](unsigned) {
        hanging.release = &release;
        ended.store(true);
    });
    EXPECT_TRUE(eventually([&] { return ended.load(); }));
    threads.replace_stalled(0);
    EXPECT_EQ(threads.join(milliseconds(20)), 1U);
    release.store(true);
    EXPECT_EQ(threads.join(kLong), 0U);
}

}  // namespace
}  // namespace export_worker::server
