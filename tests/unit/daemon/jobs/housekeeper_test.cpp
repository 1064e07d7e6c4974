#include "daemon/jobs/housekeeper.hpp"

#include <gtest/gtest.h>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

using model::JobStatus;
using model::OrganizationScope;

class HousekeeperTest : public ::testing::Test {
protected:
    std::string submit() {
        NewJob job;
        job.organization_id = "acme";
        job.job_type = model::kExportJobType;
        job.deadline = std::chrono::seconds(60);
        return store_->requests().create(job)->job.job_id;
    }
    void fail_one() {
        submit();
        ASSERT_TRUE(
            store_->queue().give_up_attempt((*store_->queue().claim())->lease, "no", true, 0));
    }
    JobStatus status(const std::string& id) {
        return store_->reader().find(OrganizationScope::every(), id)->status;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<JobStore> store_ = std::move(
        *open_sqlite_job_store(dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
};

TEST_F(HousekeeperTest, DeadlinesEndWithoutAnyWorker) {
    const std::string id = submit();
    clock_.advance(std::chrono::seconds(61));
    Housekeeper housekeeper(store_->retention(), store_->queue(), clock_, {});
    housekeeper.start();
    EXPECT_TRUE(testing::eventually([&] { return status(id) == JobStatus::kFailed; }));
    EXPECT_TRUE(testing::eventually(
        [&] { return testing::has_logged("1 jobs have failed: past their deadline"); }));
}

// Whichever part of the daemon meets them first.
TEST_F(HousekeeperTest, OverdueJobsAreToldInOneTotal) {
    const std::size_t count = 2 * limits::kHousekeepingBatch + 7;
    for (std::size_t index = 0; index < count; ++index) submit();
    clock_.advance(std::chrono::seconds(61));
    ASSERT_EQ(*store_->retention().enforce_limits(), limits::kHousekeepingBatch);
    ASSERT_FALSE(*store_->queue().claim()) << "it fails the rest on its way";
    Housekeeper housekeeper(store_->retention(), store_->queue(), clock_, {});
    housekeeper.start();
    const std::string line =
        std::to_string(count - limits::kHousekeepingBatch) + " jobs have failed: past their";
    EXPECT_TRUE(testing::eventually([&] { return testing::has_logged(line); }));
}

TEST_F(HousekeeperTest, RetentionGoesOnWhileThereIsMore) {
    const std::size_t count = 2 * limits::kHousekeepingBatch + 1;
    for (std::size_t index = 0; index < count; ++index) fail_one();
    Housekeeper housekeeper(store_->retention(), store_->queue(), clock_, {});
    housekeeper.start();
    ASSERT_TRUE(
        testing::eventually([&] { return *store_->retention().check_retention_clock({}); }));
    clock_.advance(limits::kJobRetentionDefault);
    ASSERT_TRUE(store_->retention().resume_retention());
    EXPECT_TRUE(
        testing::eventually([&] { return housekeeper.stats().jobs_pruned.load() == count; }));
    EXPECT_EQ(store_->reader().counts()->failed, 0);
    housekeeper.stop();
    EXPECT_EQ(housekeeper.stats().jobs_due.load(), 0);
    EXPECT_EQ(housekeeper.problem(), "");
    EXPECT_TRUE(testing::has_logged(std::to_string(count) + " jobs and 0 notices are forgotten"));
}

TEST_F(HousekeeperTest, AWrongClockRemovesNothingBeforeAnOperatorConfirmsIt) {
    fail_one();
    ASSERT_TRUE(*store_->retention().check_retention_clock(std::chrono::seconds(1)));
    clock_.jump(std::chrono::days(40));
    Housekeeper housekeeper(store_->retention(), store_->queue(), clock_, {});
    housekeeper.start();
    ASSERT_TRUE(
        testing::eventually([&] { return store_->retention().retention_pause()->has_value(); }));
    EXPECT_EQ(store_->reader().counts()->failed, 1);
    EXPECT_TRUE(*store_->retention().resume_retention());
    // The thread may just be adding the interval to the time it looked.
    EXPECT_TRUE(testing::eventually([&] {
        clock_.advance(limits::kRetentionInterval);
        return store_->reader().counts()->failed == 0;
    }));
    housekeeper.stop();
}

// There is always more.
class EndlessRetention : public JobRetention {
public:
    Result<std::size_t> enforce_limits() override { return 0; }
    Result<void> restart_silence(const std::function<bool()>&) override { return {}; }
    Result<bool> check_retention_clock(std::chrono::seconds) override {
        ++looks;
        return true;
    }
    Result<bool> resume_retention() override { return false; }
    Result<std::optional<RetentionPause>> retention_pause() override {
        return std::optional<RetentionPause>();
    }
    Result<std::size_t> expire_files(std::chrono::seconds) override { return 0; }
    Result<Pruned> prune(std::chrono::seconds) override {
        return Pruned{0, endless.load() ? limits::kHousekeepingBatch : 0, 0};
    }
    Result<RetentionBacklog> retention_backlog(std::chrono::seconds,
                                               std::chrono::seconds) override {
        return RetentionBacklog{1, 2, 3};
    }

    std::atomic<bool> endless{true};
    std::atomic<int> looks{0};  // At the clock.
};

TEST_F(HousekeeperTest, RetentionThatDoesNotCatchUpIsAProblem) {
    EndlessRetention retention;
    Housekeeper housekeeper(retention, store_->queue(), clock_, {});
    housekeeper.start();
    ASSERT_TRUE(testing::eventually([&] { return housekeeper.stats().jobs_due.load() == 2; }));
    EXPECT_EQ(housekeeper.problem(), "");
    clock_.advance(limits::kRetentionBehindAlarm);
    EXPECT_NE(housekeeper.problem().find("1 files, 2 jobs and 3 notices"), std::string::npos)
        << housekeeper.problem();
    retention.endless = false;
    EXPECT_TRUE(testing::eventually([&] { return housekeeper.problem().empty(); }));
    EXPECT_TRUE(testing::eventually([&] { return housekeeper.stats().jobs_due.load() == 0; }));
    housekeeper.stop();
}

// Not a minute later, and a clock that is right again ends the alarm as soon.
TEST_F(HousekeeperTest, AClockThatIsSetWhileItRunsIsLookedAtAtOnce) {
    EndlessRetention retention;
    retention.endless = false;
    Housekeeper housekeeper(retention, store_->queue(), clock_, {});
    housekeeper.start();
    ASSERT_TRUE(testing::eventually([&] { return retention.looks.load() == 1; }));
    for (const auto jump : {std::chrono::days(40), std::chrono::days(-40)}) {
        const int looks = retention.looks.load();
        clock_.jump(jump);
        EXPECT_TRUE(testing::eventually([&] { return retention.looks.load() > looks; }));
    }
    housekeeper.stop();
}

TEST_F(HousekeeperTest, AStopEndsTheWorkOfAStart) {
    struct Slow final : EndlessRetention {
        Result<void> restart_silence(const std::function<bool()>& keep_going) override {
            begun = true;
            while (keep_going()) {
            }
            return fail(ErrorCode::kCancelled, "stopped");
        }
        std::atomic<bool> begun{false};
    } retention;
    Housekeeper housekeeper(retention, store_->queue(), clock_, {});
    housekeeper.start();
    EXPECT_TRUE(testing::eventually([&] { return retention.begun.load(); }));
    housekeeper.stop();
}

TEST_F(HousekeeperTest, OnlyTheOneThatLeadsKeepsHouse) {
    EndlessRetention retention;
    std::atomic<bool> leads{false};
    std::atomic<int> asked{0};
    Housekeeper housekeeper(retention, store_->queue(), clock_, {}, {.leads = [&] {
                                ++asked;
                                return leads.load();
                            }});
    housekeeper.start();
    ASSERT_TRUE(testing::eventually([&] { return asked.load() >= 3; }));
    EXPECT_EQ(retention.looks.load(), 0);
    leads = true;
    EXPECT_TRUE(testing::eventually([&] { return retention.looks.load() > 0; }));
    housekeeper.stop();
}

TEST_F(HousekeeperTest, TheOneThatLeadsPutsBackWhatADeadDaemonRan) {
    const std::string id = submit();
    ASSERT_TRUE(*store_->queue().claim());
    store_.reset();
    store_ = std::move(
        *open_sqlite_job_store(dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
    Housekeeper housekeeper(store_->retention(), store_->queue(), clock_, {},
                            {.leads = [] { return true; }});
    housekeeper.start();
    EXPECT_TRUE(testing::eventually([&] { return status(id) == JobStatus::kPending; }));
    EXPECT_TRUE(testing::eventually(
        [] { return testing::has_logged("1 jobs of a daemon that died are pending again"); }));
    housekeeper.stop();
}

TEST_F(HousekeeperTest, PruneEndsWhenItIsToldTo) {
    for (std::size_t index = 0; index <= limits::kHousekeepingBatch; ++index) fail_one();
    Housekeeper housekeeper(store_->retention(), store_->queue(), clock_, {});
    clock_.advance(limits::kJobRetentionDefault);
    ASSERT_TRUE(store_->retention().resume_retention());
    EXPECT_EQ(housekeeper.prune_now([](const Pruned&) { return false; })->jobs,
              limits::kHousekeepingBatch);
    EXPECT_EQ(housekeeper.prune_now([](const Pruned&) { return true; })->jobs, 1U);
}

}  // namespace
}  // namespace export_worker::jobs
