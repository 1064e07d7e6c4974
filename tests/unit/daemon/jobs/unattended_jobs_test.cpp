#include "daemon/jobs/unattended_jobs.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

using std::chrono::seconds;

class UnattendedJobsTest : public ::testing::Test {
protected:
    void submit() {
        NewJob job;
        job.organization_id = "acme";
        job.job_type = model::kExportJobType;
        ASSERT_TRUE(jobs_->requests().create(job));
    }
    model::Lease claim() { return (**jobs_->queue().claim()).lease; }
    std::size_t release(const std::vector<model::Lease>& running) {
        const auto released = unattended_.release(jobs_->queue(), running, clock_.steady());
        EXPECT_TRUE(released) << released.error().message;
        return released.value_or(99);
    }
    model::Job find(const model::Lease& lease) {
        return *jobs_->reader().find(model::OrganizationScope::every(), lease.job_id);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<JobStore> jobs_ = std::move(*open_sqlite_job_store(
        dir_ / "jobs.db", clock_, {.organization_running_max = 10, .version = "test"},
        sqlite::Durability::kUnsyncedForTest));
    UnattendedJobs unattended_;
};

TEST_F(UnattendedJobsTest, AJobThatNoAttemptRunsIsReleased) {
    submit();
    submit();
    const model::Lease lost = claim();
    const model::Lease running = claim();
    EXPECT_EQ(release({running}), 0U);
    clock_.advance(limits::kUnattendedMax - seconds(1));
    EXPECT_EQ(release({running}), 0U);
    clock_.advance(seconds(1));
    EXPECT_EQ(release({running}), 1U);
    EXPECT_EQ(find(lost).status, model::JobStatus::kPending);
    EXPECT_EQ(find(lost).attempt, 0) << "the attempt does not count";
    EXPECT_EQ(find(running).status, model::JobStatus::kInProgress);
    EXPECT_EQ(claim().job_id, lost.job_id);
}

TEST_F(UnattendedJobsTest, AnAttemptThatBeginsLateIsLeftAlone) {
    submit();
    const model::Lease late = claim();
    EXPECT_EQ(release({}), 0U);
    clock_.advance(limits::kUnattendedMax - seconds(1));
    EXPECT_EQ(release({late}), 0U);
    clock_.advance(limits::kUnattendedMax);
    EXPECT_EQ(release({late}), 0U);
    // It counts from here on.
    EXPECT_EQ(release({}), 0U);
    clock_.advance(limits::kUnattendedMax);
    EXPECT_EQ(release({}), 1U);
}

TEST_F(UnattendedJobsTest, AnotherClaimOfTheSameJobCountsAnew) {
    submit();
    const model::Lease first = claim();
    EXPECT_EQ(release({}), 0U);
    ASSERT_TRUE(jobs_->queue().release(first));
    clock_.advance(limits::kUnattendedMax);
    const model::Lease second = claim();
    ASSERT_EQ(second.job_id, first.job_id);
    EXPECT_EQ(release({}), 0U);
    EXPECT_EQ(find(second).status, model::JobStatus::kInProgress);
}

}  // namespace
}  // namespace export_worker::jobs
