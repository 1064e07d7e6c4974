// What every job store must do, 4: time over restarts and wrong clocks, the age of priorities, and
// files that outlive their links.
#pragma once

#include "daemon/jobs/limits.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

using std::chrono::hours;
using std::chrono::seconds;

TEST_P(JobStoreConformance, AClockThatWasAheadInAnEarlierLifeDelaysNothing) {
    for (const char* boot : {"", "another boot"}) {
        clock_.jump(hours(1));
        reopen();
        submit();
        clock_.jump(hours(-1));
        policy_.boot_id = boot;
        reopen();
        EXPECT_TRUE(finish(claim())) << boot;
    }
}

TEST_P(JobStoreConformance, AClockThatWasBehindInAnEarlierLifeFailsNothing) {
    NewJob job = export_of("acme");
    job.deadline = hours(24);
    NewJob external = job;
    external.runner = JobRunner::kExternal;
    external.silence_limit = hours(24);
    for (const char* boot : {"", "another boot"}) {
        clock_.jump(hours(-48));
        reopen();
        ASSERT_TRUE(store_->requests().create(job));
        const auto reported = store_->requests().create(external)->job.job_id;
        ProgressReport started;
        started.mark_started = true;
        ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), reported, started, "w"));
        clock_.jump(hours(48));
        policy_.boot_id = boot;
        reopen();
        EXPECT_EQ(*store_->retention().enforce_limits(), 0U) << boot;
        EXPECT_TRUE(finish(claim()));
    }
}

TEST_P(JobStoreConformance, WhatEndsUnderAClockThatIsBehindIsKeptForItsWholeTime) {
    const auto week = hours(7 * 24);
    const auto retain = [&] {
        const std::size_t files = *store_->retention().expire_files(week);
        const Pruned pruned = *store_->retention().prune(week);
        return files + pruned.jobs + pruned.notices;
    };
    clock_.jump(-hours(40 * 24));
    submit();
    ASSERT_TRUE(finish(claim()));
    const auto reported = create_external().job_id;
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), reported, "me"));
    tell_notices();
    clock_.jump(hours(40 * 24));
    EXPECT_EQ(retain(), 0U);
    EXPECT_EQ(store_->retention().retention_backlog(week, week)->jobs, 0);
    clock_.advance(week - seconds(1));
    EXPECT_EQ(retain(), 0U);
    clock_.advance(seconds(1));
    EXPECT_EQ(retain(), 4U) << "a file, a job, and the notices of both";
}

TEST_P(JobStoreConformance, AReportAfterTheDeadlineChangesNothing) {
    NewJob job = export_of("acme");
    job.runner = JobRunner::kExternal;
    job.deadline = seconds(60);
    const auto id = store_->requests().create(job)->job.job_id;
    ProgressReport done;
    done.mark_completed = true;
    clock_.advance(seconds(60));
    const auto late = store_->requests().report(OrganizationScope::every(), id, done, "w");
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::kConflict);
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
}

TEST_P(JobStoreConformance, TimeGoesOnWhileNoDaemonRuns) {
    NewJob job = export_of("acme");
    job.deadline = seconds(600);
    const auto id = store_->requests().create(job)->job.job_id;
    store_.reset();
    clock_.advance(seconds(400));
    reopen();
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    store_.reset();
    clock_.advance(seconds(201));
    policy_.boot_id = "another boot";
    reopen();
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
}

TEST_P(JobStoreConformance, AStartOnTheWallClockFollowsAClockThatWasSetBetweenTwoLives) {
    clock_.jump(hours(1));
    reopen();
    const std::int64_t real_us = clock_.unix_us() - 3'600'000'000;
    NewJob job = export_of("acme");
    job.start_unix_us = real_us + 2 * 3'600'000'000;
    job.deadline = seconds(60);
    const auto id = store_->requests().create(job)->job.job_id;
    EXPECT_EQ(find(id).start_us, job.start_unix_us);
    clock_.jump(hours(-1));
    reopen();
    clock_.advance(hours(2) - seconds(1));
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(seconds(2));
    EXPECT_EQ(claim().lease.job_id, id);
}

TEST_P(JobStoreConformance, LowPriorityAgesAndNeverStarves) {
    NewJob low = export_of("acme");
    low.priority = model::JobPriority::kLow;
    NewJob high = export_of("acme");
    high.priority = model::JobPriority::kHigh;
    const auto oldest = store_->requests().create(low)->job.job_id;
    const auto waited_for = 2 * limits::kPriorityAge;
    clock_.advance(waited_for - seconds(1));
    const auto first = store_->requests().create(high)->job.job_id;
    clock_.advance(seconds(2));
    const auto second = store_->requests().create(high)->job.job_id;
    EXPECT_EQ(claim().lease.job_id, first);
    EXPECT_EQ(claim().lease.job_id, oldest);
    EXPECT_EQ(claim().lease.job_id, second);
}

TEST_P(JobStoreConformance, APendingJobSaysWhyItWaits) {
    using Reason = model::WaitingReason;
    const auto why = [&](const std::string& id) { return find(id).waiting_because; };
    const auto first = submit().job_id;
    EXPECT_EQ(why(first), Reason::kNoWorkerFree);
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), first, "me"));
    EXPECT_EQ(why(first), Reason::kHeld);
    ASSERT_TRUE(store_->requests().release_hold(OrganizationScope::every(), first, "me"));
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "disk", false, 10'000'000));
    EXPECT_EQ(why(first), Reason::kRetryLater);
    ASSERT_TRUE(store_->organizations().set_organization({"acme", 1, 1, true}));
    const auto second = submit().job_id;
    EXPECT_EQ(why(second), Reason::kOrganizationHeld);
    ASSERT_TRUE(store_->organizations().set_organization({"acme", 1, 1, false}));
    const ClaimedJob running = claim();
    EXPECT_EQ(running.lease.job_id, second);
    EXPECT_EQ(why(second), std::nullopt);
    clock_.advance(seconds(10));
    EXPECT_EQ(why(first), Reason::kOrganizationAtLimit);
    ASSERT_TRUE(finish(running));
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::stored_bytes_max, 1)));
    EXPECT_EQ(why(first), Reason::kOverQuota);
    const auto page = store_->reader().list(OrganizationScope::one("acme"), {});
    ASSERT_EQ(page->jobs.size(), 2U);
    for (const model::Job& job : page->jobs)
        EXPECT_EQ(job.waiting_because, why(job.job_id)) << job.job_id;
    EXPECT_EQ(create_external().waiting_because, Reason::kExternalWorker);
    policy_.runs_exports = false;
    reopen();
    EXPECT_EQ(why(first), Reason::kNoWorkers);
}

TEST_P(JobStoreConformance, AJobShowsItsTimesOnTheWallClock) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + 60'000'000;
    job.deadline = seconds(30);
    const auto created = store_->requests().create(job)->job;
    EXPECT_EQ(created.waiting_because, model::WaitingReason::kNotYetDue);
    EXPECT_EQ(created.start_us, job.start_unix_us);
    EXPECT_EQ(created.deadline_us, *job.start_unix_us + 30'000'000);
    NewJob external = export_of("acme");
    external.runner = JobRunner::kExternal;
    external.silence_limit = seconds(30);
    EXPECT_EQ(find(store_->requests().create(external)->job.job_id).silence_us, 30'000'000);
}

TEST_P(JobStoreConformance, AWithdrawnFileOutlivesTheLongestLink) {
    ASSERT_TRUE(store_->files().set_link_lifetime(seconds(900)));
    submit();
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    const model::FileKey key = completion(job).file.key;
    ASSERT_TRUE(store_->files().withdraw_file(key, "damaged"));
    EXPECT_TRUE(*store_->files().has_files());
    clock_.advance(seconds(900) + limits::kFileDeletionMargin - seconds(1));
    EXPECT_TRUE(store_->files().deletable_files()->empty());
    reopen();  // As after a death in between.
    EXPECT_TRUE(store_->files().deletable_files()->empty());
    clock_.advance(seconds(1));
    EXPECT_EQ(*store_->files().deletable_files(), std::vector<model::FileKey>{key});
    ASSERT_TRUE(store_->files().forget_file(key));
    EXPECT_FALSE(*store_->files().has_files());
}

TEST_P(JobStoreConformance, LinksOfALongerLifetimeBeforeKeepTheirFile) {
    ASSERT_TRUE(store_->files().set_link_lifetime(seconds(86'400)));
    submit();
    ASSERT_TRUE(finish(claim()));
    reopen();
    ASSERT_TRUE(store_->files().set_link_lifetime(seconds(60)));
    const auto published = store_->files().published_files("");
    ASSERT_TRUE(store_->files().withdraw_file((*published)[0].key, "damaged"));
    clock_.advance(seconds(86'400));
    EXPECT_TRUE(store_->files().deletable_files()->empty());
    clock_.advance(limits::kFileDeletionMargin);
    EXPECT_EQ(store_->files().deletable_files()->size(), 1U);
    // From then on the new one counts.
    submit();
    const ClaimedJob next = claim();
    ASSERT_TRUE(finish(next));
    ASSERT_TRUE(store_->files().withdraw_file(completion(next).file.key, "damaged"));
    clock_.advance(seconds(60) + limits::kFileDeletionMargin);
    EXPECT_EQ(store_->files().deletable_files()->size(), 2U);
}

TEST_P(JobStoreConformance, TheBacklogOfRetentionIsCounted) {
    submit();
    ASSERT_TRUE(finish(claim()));
    submit();
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "no", true, 0));
    tell_notices();
    const auto numbers = [&](seconds file_age, seconds job_age) {
        const auto backlog = *store_->retention().retention_backlog(file_age, job_age);
        return std::vector<std::int64_t>{backlog.files, backlog.jobs, backlog.notices};
    };
    using Numbers = std::vector<std::int64_t>;
    EXPECT_EQ(numbers(hours(1), hours(1)), (Numbers{0, 0, 0}));
    clock_.advance(hours(1));
    EXPECT_EQ(numbers(hours(1), hours(1)), (Numbers{1, 1, 2}));
    EXPECT_EQ(numbers(seconds(0), hours(1)), (Numbers{0, 1, 2}));
    EXPECT_EQ(numbers(hours(1), seconds(0)), (Numbers{1, 0, 0}));
}

}  // namespace export_worker::jobs
