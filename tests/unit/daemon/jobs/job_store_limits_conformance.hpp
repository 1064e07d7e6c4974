// What every job store owes about deadlines, quotas and the age of what it keeps.
#pragma once

#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

TEST_P(JobStoreConformance, ADeadlineCountsFromTheStartThatWasAskedFor) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + us_of_days(40);
    job.deadline = std::chrono::seconds(5);
    const auto id = store_->requests().create(job)->job.job_id;
    clock_.advance(std::chrono::days(40));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    EXPECT_EQ(claim().lease.job_id, id);
    clock_.advance(std::chrono::seconds(5));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_NE(find(id).error_message.find("deadline"), std::string::npos);
}

// As a commit worker does: it begins what waits, and then waits for all of it.
TEST_P(JobStoreConformance, JobsThatAreBegunTogetherAreJudgedEachByItself) {
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("umbrella", &OrganizationPolicy::unfinished_max, 2)));
    NewJob keyed = export_of("acme");
    keyed.idempotency_key = "once";
    keyed.request_sha256 = "a";
    NewJob other = keyed;
    other.request_sha256 = "b";
    NewJob invalid = export_of("acme");
    invalid.start_unix_us = INT64_MAX;
    NewJob late = export_of("acme");
    late.start_unix_us = clock_.unix_us() + us_of_days(1);
    std::vector<Pending<CreatedJob>> pending;
    for (const NewJob& job : {export_of("umbrella"), keyed, export_of("umbrella"), late, invalid,
                              keyed, export_of("umbrella"), other, export_of("acme")}) {
        auto begun = store_->requests().begin_create(job);
        if (begun) {
            pending.push_back(std::move(*begun));
        } else {
            pending.emplace_back(
                [error = begun.error()] { return Result<CreatedJob>(fail(error)); });
        }
    }
    std::vector<Result<CreatedJob>> out;
    for (const auto& each : pending) out.push_back(each());
    for (const std::size_t good : {0U, 1U, 2U, 3U, 5U, 8U})
        EXPECT_TRUE(out[good]) << good << ": " << out[good].error().message;
    EXPECT_EQ(out[1]->job.job_id, out[5]->job.job_id);
    EXPECT_FALSE(out[1]->existed);
    EXPECT_TRUE(out[5]->existed);
    EXPECT_EQ(out[4].error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(out[6].error().code, ErrorCode::kQuotaExceeded);
    EXPECT_EQ(out[7].error().code, ErrorCode::kConflict);
    EXPECT_EQ(store_->reader().list(OrganizationScope::every(), {})->total, 5);
    EXPECT_EQ(find(out[3]->job.job_id).start_us, late.start_unix_us);
}

TEST_P(JobStoreConformance, ReportsThatAreBegunTogetherKeepTheirOrder) {
    const auto id = create_external().job_id;
    const auto second = create_external().job_id;
    ProgressReport report;
    report.mark_started = true;
    std::vector<Pending<model::Job>> pending;
    const auto begin = [&](const std::string& job_id) {
        auto begun =
            store_->requests().begin_report(OrganizationScope::every(), job_id, report, "me");
        ASSERT_TRUE(begun) << begun.error().message;
        pending.push_back(std::move(*begun));
    };
    begin(id);
    for (int count = 1; count <= 5; ++count) {
        report.processed_items = count;
        begin(count % 2 == 0 ? second : id);
    }
    begin("no such job");
    report.mark_completed = true;
    begin(id);
    report.processed_items = 9;
    begin(id);
    std::vector<Result<model::Job>> out;
    for (const auto& each : pending) out.push_back(each());
    for (std::size_t index = 0; index < 6; ++index) EXPECT_TRUE(out[index]) << index;
    EXPECT_EQ(out[6].error().code, ErrorCode::kNotFound);
    EXPECT_TRUE(out[7]) << out[7].error().message;
    EXPECT_EQ(out[8].error().code, ErrorCode::kConflict) << "it has ended";
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    EXPECT_EQ(find(id).processed_items, 5);
    EXPECT_EQ(find(second).processed_items, 4);
}

TEST_P(JobStoreConformance, AStartInThePastLengthensNoDeadline) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() - us_of_days(1);
    job.deadline = std::chrono::seconds(5);
    ASSERT_TRUE(store_->requests().create(job));
    clock_.advance(std::chrono::seconds(5));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
}

TEST_P(JobStoreConformance, AStartMoreThanAYearAheadIsRefused) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + us_of_days(366);
    EXPECT_TRUE(store_->requests().create(job));
    for (const std::int64_t start_us :
         {*job.start_unix_us + 1'000'000, std::int64_t{253'402'300'799'000'000}, INT64_MAX}) {
        job.start_unix_us = start_us;
        const auto refused = store_->requests().create(job);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_TRUE(refused.error().message.starts_with("start_at: expected at most 366 days"))
            << refused.error().message;
    }
}

TEST_P(JobStoreConformance, AHeldJobHasNoDeadlineAndItsReleaseGivesItAWholeOne) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->requests().create(job)->job.job_id;
    clock_.advance(std::chrono::seconds(50));
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::days(2));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    ASSERT_TRUE(store_->requests().release_hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::seconds(59));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
}

TEST_P(JobStoreConformance, AReleaseBeforeTheStartKeepsTheDeadlineBehindTheStart) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + us_of_days(3);
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->requests().create(job)->job.job_id;
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->requests().release_hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::days(3) + std::chrono::seconds(59));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    EXPECT_EQ(claim().lease.job_id, id);
}

TEST_P(JobStoreConformance, ARetriedJobHasAWholeDeadlineAfterAHoldToo) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->requests().create(job)->job.job_id;
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->requests().retry(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::days(1));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    ASSERT_TRUE(store_->requests().release_hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::seconds(59));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
}

TEST_P(JobStoreConformance, AnOrganizationHasJobsOfABoundedNumberOfTypes) {
    NewJob job = export_of("acme");
    job.runner = JobRunner::kExternal;
    for (int type = 0; type < limits::kJobTypesMax; ++type) {
        job.job_type = "crawl " + std::to_string(type);
        ASSERT_TRUE(store_->requests().create(job));
    }
    ASSERT_TRUE(store_->requests().create(job)) << "of a type it has";
    job.job_type = "one more";
    const auto refused = store_->requests().create(job);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(refused.error().message.starts_with("job_type: expected one of the 100 types"));
    EXPECT_TRUE(store_->requests().create(export_of("acme"))) << "exports are of the daemon's type";
    job.organization_id = "other";
    EXPECT_TRUE(store_->requests().create(job));
}

TEST_P(JobStoreConformance, WhatWaitsAboveTheQuotaOfStoredBytesStartsWhenSomeExpire) {
    constexpr std::int64_t kBytes = 42;  // Of completion().
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::stored_bytes_max, kBytes * 2)));
    for (int count = 0; count < 5; ++count) submit();
    const ClaimedJob first = claim();
    const ClaimedJob second = claim();
    const ClaimedJob third = claim();
    ASSERT_TRUE(finish(first));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    ASSERT_TRUE(finish(second));
    EXPECT_FALSE((*store_->queue().claim()).has_value()) << "the quota is used up";
    ASSERT_TRUE(finish(third)) << "it ran already";
    EXPECT_EQ(store_->organizations().organization("acme")->stored_bytes, kBytes * 3);
    submit("umbrella");
    EXPECT_EQ(claim().organization_id, "umbrella") << "others go on";
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    clock_.advance(std::chrono::days(1));
    EXPECT_EQ(*store_->retention().expire_files(std::chrono::days(1)), 3U);
    const ClaimedJob fourth = claim();
    EXPECT_EQ(fourth.organization_id, "acme");
    EXPECT_EQ(fourth.attempt, 1) << "waiting is no attempt";
}

TEST_P(JobStoreConformance, ADeadlineThatPassesAboveTheQuotaSaysSo) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    submit();
    clock_.advance(std::chrono::milliseconds(1));  // So that it is claimed first.
    const auto id = store_->requests().create(job)->job.job_id;
    ASSERT_TRUE(finish(claim()));
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::stored_bytes_max, 42)));
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    clock_.advance(std::chrono::seconds(60));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_NE(find(id).error_message.find("may store 42 bytes"), std::string::npos)
        << find(id).error_message;
}

TEST_P(JobStoreConformance, JobsThatAClaimFailsAreCountedWithTheOthers) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    for (int count = 0; count < 3; ++count) ASSERT_TRUE(store_->requests().create(job));
    clock_.advance(std::chrono::seconds(61));
    ASSERT_FALSE(*store_->queue().claim());
    EXPECT_EQ(*store_->retention().enforce_limits(), 3U);
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
}

TEST_P(JobStoreConformance, RetentionIsPausedWhileTheClockIsFarFromTheLastRun) {
    const auto day = std::chrono::seconds(86'400);
    EXPECT_TRUE(*store_->retention().check_retention_clock(day)) << "as when it was opened";
    const std::int64_t last_us = clock_.unix_us();
    for (const auto jump : {std::chrono::days(40), std::chrono::days(-40)}) {
        jump_registry_clock(jump);
        reopen();
        EXPECT_FALSE(*store_->retention().check_retention_clock(day));
        EXPECT_FALSE(*store_->retention().check_retention_clock(day))
            << "asking again makes nothing right";
        const auto pause = *store_->retention().retention_pause();
        ASSERT_TRUE(pause);
        EXPECT_EQ(pause->last_run_us, last_us);
        EXPECT_EQ(pause->now_us, clock_.unix_us());
        jump_registry_clock(std::chrono::seconds(90));
        reopen();
        EXPECT_EQ((*store_->retention().retention_pause())->now_us, clock_.unix_us())
            << "not what the clock of an earlier life said";
        jump_registry_clock(-std::chrono::seconds(90));
        jump_registry_clock(-jump);
        EXPECT_TRUE(*store_->retention().check_retention_clock(day)) << "the clock is right again";
        EXPECT_FALSE(*store_->retention().retention_pause());
    }
    clock_.advance(day);
    EXPECT_TRUE(*store_->retention().check_retention_clock(day));
}

TEST_P(JobStoreConformance, AClockThatIsSetRightAfterTheFirstStartPausesRetentionUntilItIsRight) {
    const auto day = std::chrono::seconds(86'400);
    jump_registry_clock(std::chrono::days(30));
    EXPECT_FALSE(*store_->retention().check_retention_clock(day));
    jump_registry_clock(-std::chrono::days(30));
    EXPECT_TRUE(*store_->retention().check_retention_clock(day));
    EXPECT_FALSE(*store_->retention().retention_pause());
}

TEST_P(JobStoreConformance, AnOperatorResumesRetention) {
    const auto day = std::chrono::seconds(86'400);
    EXPECT_FALSE(*store_->retention().resume_retention()) << "it was not paused";
    clock_.advance(std::chrono::days(3));
    ASSERT_FALSE(*store_->retention().check_retention_clock(day));
    EXPECT_TRUE(*store_->retention().resume_retention());
    reopen();
    EXPECT_TRUE(*store_->retention().check_retention_clock(day));
    EXPECT_FALSE(*store_->retention().retention_pause());
}

TEST_P(JobStoreConformance, TheLongestQueuesAreNamedAndTheRestAreCounted) {
    EXPECT_TRUE(store_->reader().waiting(2)->longest.empty());
    for (const auto& [organization, count] :
         std::map<std::string, int>{{"a", 1}, {"b", 3}, {"c", 2}, {"d", 2}}) {
        for (int index = 0; index < count; ++index) submit(organization);
    }
    create_external();  // Waits for a worker of its own.
    const WaitingJobs waiting = *store_->reader().waiting(2);
    ASSERT_EQ(waiting.longest.size(), 2U);
    EXPECT_EQ(waiting.longest[0].organization_id, "b");
    EXPECT_EQ(waiting.longest[0].pending, 3);
    EXPECT_EQ(waiting.longest[1].organization_id, "c");
    EXPECT_EQ(waiting.longest[1].pending, 2);
    EXPECT_EQ(waiting.others, 3);
    EXPECT_EQ(store_->reader().waiting(10)->others, 0);
}

TEST_P(JobStoreConformance, TheOldestFileIsTheOneThatWasPublishedFirst) {
    EXPECT_FALSE(*store_->files().oldest_file_age());
    for (int count = 0; count < 2; ++count) {
        submit();
        ASSERT_TRUE(finish(claim()));
        clock_.advance(std::chrono::days(1));
    }
    EXPECT_EQ(**store_->files().oldest_file_age(), std::chrono::days(2));
    EXPECT_EQ(*store_->retention().expire_files(std::chrono::days(2)), 1U);
    EXPECT_EQ(**store_->files().oldest_file_age(), std::chrono::days(1));
}

}  // namespace export_worker::jobs
