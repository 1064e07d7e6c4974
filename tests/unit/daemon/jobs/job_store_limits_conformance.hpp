// What every job store owes about deadlines, quotas and the age of what it keeps.
#pragma once

#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

TEST_P(JobStoreConformance, ADeadlineCountsFromTheStartThatWasAskedFor) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + us_of_days(40);
    job.deadline = std::chrono::seconds(5);
    const auto id = store_->create(job)->job.job_id;
    clock_.advance(std::chrono::days(40));
    EXPECT_EQ(*store_->enforce_limits(), 0U);
    EXPECT_EQ(claim().lease.job_id, id);
    clock_.advance(std::chrono::seconds(5));
    EXPECT_EQ(*store_->enforce_limits(), 1U);
    EXPECT_NE(find(id).error_message.find("deadline"), std::string::npos);
}

TEST_P(JobStoreConformance, AStartInThePastLengthensNoDeadline) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() - us_of_days(1);
    job.deadline = std::chrono::seconds(5);
    ASSERT_TRUE(store_->create(job));
    clock_.advance(std::chrono::seconds(5));
    EXPECT_EQ(*store_->enforce_limits(), 1U);
}

TEST_P(JobStoreConformance, AStartMoreThanAYearAheadIsRefused) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + us_of_days(366);
    EXPECT_TRUE(store_->create(job));
    for (const std::int64_t start_us :
         {*job.start_unix_us + 1'000'000, std::int64_t{253'402'300'799'000'000}, INT64_MAX}) {
        job.start_unix_us = start_us;
        const auto refused = store_->create(job);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_TRUE(refused.error().message.starts_with("start_at: expected at most 366 days"))
            << refused.error().message;
    }
}

TEST_P(JobStoreConformance, AHeldJobHasNoDeadlineAndItsReleaseGivesItAWholeOne) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->create(job)->job.job_id;
    clock_.advance(std::chrono::seconds(50));
    ASSERT_TRUE(store_->hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::days(2));
    EXPECT_EQ(*store_->enforce_limits(), 0U);
    ASSERT_TRUE(store_->release_hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::seconds(59));
    EXPECT_EQ(*store_->enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(*store_->enforce_limits(), 1U);
}

TEST_P(JobStoreConformance, AReleaseBeforeTheStartKeepsTheDeadlineBehindTheStart) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + us_of_days(3);
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->create(job)->job.job_id;
    ASSERT_TRUE(store_->hold(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->release_hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::days(3) + std::chrono::seconds(59));
    EXPECT_EQ(*store_->enforce_limits(), 0U);
    EXPECT_EQ(claim().lease.job_id, id);
}

TEST_P(JobStoreConformance, ARetriedJobHasNoDeadlineAfterAHoldEither) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->create(job)->job.job_id;
    ASSERT_TRUE(store_->request_cancel(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->retry(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->hold(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->release_hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::days(1));
    EXPECT_EQ(*store_->enforce_limits(), 0U);
}

}  // namespace export_worker::jobs
