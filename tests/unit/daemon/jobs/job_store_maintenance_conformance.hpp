// What every job store must do, 2: keys, turns, time, events, retention, notices.
#pragma once

#include "daemon/jobs/limits.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

TEST_P(JobStoreConformance, TheSameKeyIsTheSameJobAndAnotherRequestAConflict) {
    NewJob job = export_of("acme");
    job.idempotency_key = "order-7";
    job.request_sha256 = "aa";
    std::vector<std::string> ids(100);
    std::atomic<int> made{0};
    std::vector<std::thread> threads;
    for (std::string& id : ids) {
        threads.emplace_back([&] {
            const auto created = store_->requests().create(job);
            ASSERT_TRUE(created) << created.error().message;
            made += created->existed ? 0 : 1;
            id = created->job.job_id;
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(made.load(), 1);
    EXPECT_EQ(std::ranges::count(ids, ids[0]), 100);
    job.request_sha256 = "bb";
    EXPECT_EQ(store_->requests().create(job).error().code, ErrorCode::kConflict);
    job.organization_id = "umbrella";  // Its own keys.
    EXPECT_FALSE(store_->requests().create(job)->existed);
}

TEST_P(JobStoreConformance, PrioritiesOrderAnOrganizationsOwnJobs) {
    NewJob low = export_of("acme");
    low.priority = model::JobPriority::kLow;
    NewJob high = export_of("acme");
    high.priority = model::JobPriority::kHigh;
    const auto first_low = store_->requests().create(low)->job.job_id;
    const auto normal = submit().job_id;
    const auto first_high = store_->requests().create(high)->job.job_id;
    EXPECT_EQ(claim().lease.job_id, first_high);
    EXPECT_EQ(claim().lease.job_id, normal);
    EXPECT_EQ(claim().lease.job_id, first_low);
}

TEST_P(JobStoreConformance, ADelayedJobStartsWhenItIsDue) {
    NewJob job = export_of("acme");
    job.start_unix_us = clock_.unix_us() + 60'000'000;
    const auto id = store_->requests().create(job)->job.job_id;
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    clock_.jump(std::chrono::hours(1));  // Setting the wall clock starts nothing.
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    clock_.advance(std::chrono::seconds(60));
    EXPECT_EQ(claim().lease.job_id, id);
}

TEST_P(JobStoreConformance, ClockJumpsDelayAndHurryNothing) {
    for (const auto jump : {std::chrono::hours(1), std::chrono::hours(-2)}) {
        NewJob job = export_of("acme");
        job.deadline = std::chrono::seconds(100);
        const auto id = store_->requests().create(job)->job.job_id;
        const ClaimedJob run = claim();
        ASSERT_TRUE(store_->queue().give_up_attempt(run.lease, "x", false, 10'000'000));
        clock_.jump(jump);
        EXPECT_FALSE((*store_->queue().claim()).has_value());
        EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
        clock_.advance(std::chrono::seconds(10));
        const ClaimedJob again = claim();
        EXPECT_EQ(again.lease.job_id, id);
        ASSERT_TRUE(store_->queue().heartbeat(again.lease, {1, 1, "x"}));
        clock_.advance(std::chrono::seconds(90));
        EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
        EXPECT_EQ(find(id).status, JobStatus::kFailed);
    }
}

TEST_P(JobStoreConformance, ADeadlineEndsWaitingAndRunningJobs) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    const auto waiting = store_->requests().create(job)->job.job_id;
    const auto running = store_->requests().create(job)->job.job_id;
    const ClaimedJob first = claim();
    clock_.advance(std::chrono::seconds(61));
    EXPECT_EQ(*store_->retention().enforce_limits(), 2U);
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    for (const auto& id : {waiting, running}) {
        EXPECT_EQ(find(id).status, JobStatus::kFailed);
        EXPECT_NE(find(id).error_message.find("deadline"), std::string::npos);
    }
    EXPECT_EQ(store_->queue().heartbeat(first.lease, {1, 1, "x"}).error().code,
              ErrorCode::kConflict);
}

TEST_P(JobStoreConformance, DeadlinesEndManyJobsInBatches) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    for (std::size_t count = 0; count < 2 * limits::kHousekeepingBatch + 1; ++count)
        ASSERT_TRUE(store_->requests().create(job));
    clock_.advance(std::chrono::seconds(61));
    for (const std::size_t batch :
         {limits::kHousekeepingBatch, limits::kHousekeepingBatch, std::size_t{1}})
        EXPECT_EQ(*store_->retention().enforce_limits(), batch);
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    EXPECT_EQ(store_->reader().counts()->pending, 0);
}

TEST_P(JobStoreConformance, AJobThatIsRetriedAfterItsDeadlineHasAWholeOneAgain) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(60);
    const auto id = store_->requests().create(job)->job.job_id;
    for (int round = 0; round < 2; ++round) {
        clock_.advance(std::chrono::seconds(59));
        EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
        clock_.advance(std::chrono::seconds(2));
        ASSERT_EQ(*store_->retention().enforce_limits(), 1U);
        ASSERT_TRUE(store_->requests().retry(OrganizationScope::every(), id, "me"));
    }
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    ASSERT_TRUE(finish(claim()));
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
}

TEST_P(JobStoreConformance, AWorkersJobIsNotTheDaemonsToHoldOrRetry) {
    const auto id = create_external().job_id;
    for (const auto& refused : {store_->requests().hold(OrganizationScope::every(), id, "me"),
                                store_->requests().retry(OrganizationScope::every(), id, "me")}) {
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
        EXPECT_NE(refused.error().message.find("a worker's"), std::string::npos);
    }
}

TEST_P(JobStoreConformance, SilenceCountsAnewWhenTheDaemonWasAway) {
    NewJob job = export_of("acme");
    job.runner = JobRunner::kExternal;
    job.silence_limit = std::chrono::seconds(30);
    const auto id = store_->requests().create(job)->job.job_id;
    ProgressReport started;
    started.mark_started = true;
    ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, started, "me"));
    clock_.advance(std::chrono::seconds(31));
    ASSERT_TRUE(store_->retention().restart_silence());
    clock_.advance(std::chrono::seconds(29));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(2));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
}

// Each write is short, others get their turn in between, and a stop waits for one of them.
TEST_P(JobStoreConformance, SilenceOfManyJobsCountsAnewInBatches) {
    constexpr std::size_t kJobs = 2 * limits::kHousekeepingBatch + 1;
    NewJob job = export_of("acme");
    job.runner = JobRunner::kExternal;
    ProgressReport started;
    started.mark_started = true;
    for (std::size_t index = 0; index < kJobs; ++index) {
        job.silence_limit = std::chrono::seconds(index % 2 == 0 ? 30 : 3'000);
        const auto id = store_->requests().create(job)->job.job_id;
        ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, started, "me"));
    }
    clock_.advance(std::chrono::seconds(3'001));
    int asked = 0;
    ASSERT_TRUE(store_->retention().restart_silence([&] {
        ++asked;
        return true;
    }));
    EXPECT_EQ(asked, 2);
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(3'001));
    const auto stopped = store_->retention().restart_silence([] { return false; });
    ASSERT_FALSE(stopped);
    EXPECT_EQ(stopped.error().code, ErrorCode::kCancelled);
    std::size_t failed = 0;
    while (const std::size_t some = *store_->retention().enforce_limits()) failed += some;
    EXPECT_EQ(failed, kJobs - limits::kHousekeepingBatch);
}

TEST_P(JobStoreConformance, ASilentExternalJobFails) {
    NewJob job = export_of("acme");
    job.runner = JobRunner::kExternal;
    job.silence_limit = std::chrono::seconds(30);
    const auto id = store_->requests().create(job)->job.job_id;
    clock_.advance(std::chrono::seconds(100));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);  // Nobody has begun it.
    ProgressReport started;
    started.mark_started = true;
    ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, started, "me"));
    clock_.advance(std::chrono::seconds(29));
    ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, {}, "me"));
    clock_.advance(std::chrono::seconds(29));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(2));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
    EXPECT_EQ(store_->requests().report(OrganizationScope::every(), id, {}, "me").error().code,
              ErrorCode::kConflict);
}

TEST_P(JobStoreConformance, AHeldJobWaitsForItsRelease) {
    const auto id = submit().job_id;
    EXPECT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me")->held);
    EXPECT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me")->held);
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    EXPECT_FALSE(store_->requests().release_hold(OrganizationScope::every(), id, "me")->held);
    const ClaimedJob job = claim();
    EXPECT_EQ(store_->requests().hold(OrganizationScope::every(), id, "me").error().code,
              ErrorCode::kConflict);
    ASSERT_TRUE(finish(job));
    EXPECT_EQ(store_->requests().hold(OrganizationScope::one("umbrella"), id, "me").error().code,
              ErrorCode::kNotFound);
    // A held job can be cancelled.
    const auto other = submit().job_id;
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), other, "me"));
    EXPECT_EQ(store_->requests().request_cancel(OrganizationScope::every(), other, "me")->status,
              JobStatus::kCancelled);
}

TEST_P(JobStoreConformance, InterruptionsAreForgivenButNotForEver) {
    policy_.attempts_max = 1;
    reopen();
    const auto id = submit().job_id;
    for (int round = 0; round < limits::kJobInterruptionsMax; ++round) {
        const ClaimedJob job = claim();
        EXPECT_EQ(job.attempt, 1);
        ASSERT_TRUE(store_->queue().release(job.lease));
    }
    ASSERT_TRUE(store_->queue().release(claim().lease));
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
}

TEST_P(JobStoreConformance, GivingUpAJobSomebodyWantedCancelledCancelsIt) {
    const auto id = submit().job_id;
    const ClaimedJob job = claim();
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->queue().give_up_attempt(job.lease, "disk", false, 0));
    EXPECT_EQ(find(id).status, JobStatus::kCancelled);
}

// Against a model: limits are never exceeded, nobody waits for ever, and shares follow weights.
TEST_P(JobStoreConformance, LimitsHoldAndTurnsAreFair) {
    policy_.organization_running_max = 3;
    reopen();
    ASSERT_TRUE(store_->organizations().set_organization({"heavy", 5, 4, false}));
    ASSERT_TRUE(store_->organizations().set_organization({"light", 5, 1, false}));
    ASSERT_TRUE(store_->organizations().set_organization({"stopped", {}, 1, true}));
    for (const char* organization : {"heavy", "light", "plain", "stopped"}) {
        for (int index = 0; index < 60; ++index) submit(organization);
    }
    std::map<std::string, std::vector<ClaimedJob>> running;
    std::map<std::string, int> started;
    std::uint32_t random = 1;
    for (int step = 0; step < 400 && started["light"] < 25; ++step) {
        random = random * 1'664'525 + 1'013'904'223;
        const auto claimed = store_->queue().claim();
        ASSERT_TRUE(claimed);
        if (claimed->has_value()) {
            const ClaimedJob& job = **claimed;
            running[job.organization_id].push_back(job);
            ++started[job.organization_id];
        }
        EXPECT_LE(running["heavy"].size(), 5U);
        EXPECT_LE(running["light"].size(), 5U);
        EXPECT_LE(running["plain"].size(), 3U);
        // One finishes, of whichever organization.
        auto at = std::next(running.begin(), static_cast<std::ptrdiff_t>(random % running.size()));
        if (at->second.empty()) continue;
        ASSERT_TRUE(finish(at->second.back()));
        at->second.pop_back();
    }
    EXPECT_EQ(started["stopped"], 0);
    EXPECT_GT(started["heavy"], started["light"]);
    EXPECT_GT(started["light"], 10);
    EXPECT_GT(started["plain"], 10);
    const auto states = store_->organizations().organizations("")->items;
    ASSERT_EQ(states.size(), 4U);
    EXPECT_EQ(states[3].policy.organization_id, "stopped");
    EXPECT_EQ(states[3].pending, 60);
    EXPECT_EQ(store_->organizations().organizations("light")->items.size(), 2U);
}

TEST_P(JobStoreConformance, AnOrganizationThatComesBackGetsItsTurnAndNoCredit) {
    for (int index = 0; index < 30; ++index) submit("busy");
    for (int index = 0; index < 20; ++index) ASSERT_TRUE(finish(claim()));
    for (int index = 0; index < 10; ++index) submit("idle");
    std::string order;
    for (int index = 0; index < 8; ++index) {
        const ClaimedJob job = claim();
        order += job.organization_id == "busy" ? 'b' : 'i';
        ASSERT_TRUE(finish(job));
    }
    EXPECT_TRUE(order == "ibibibib" || order == "bibibibi" || order == "iibibibi") << order;
}

TEST_P(JobStoreConformance, ManyOrphansAreRescuedAtOnce) {
    policy_.organization_running_max = limits::kOrganizationRunningMax * 100;
    reopen();
    // More than one group of writes, page or batch holds.
    constexpr int kJobs = 1'000;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 10; ++thread) {
        threads.emplace_back([&] {
            for (int index = 0; index < kJobs / 10; ++index) submit();
            for (int index = 0; index < kJobs / 10; ++index) claim();
        });
    }
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(die_and_rescue(), static_cast<std::size_t>(kJobs));
    EXPECT_EQ(store_->reader().counts()->pending, kJobs);
    EXPECT_EQ(*store_->queue().rescue(), 0U);
}

TEST_P(JobStoreConformance, EveryStepIsAnEvent) {
    const auto id = submit().job_id;
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->requests().release_hold(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "disk", false, 0));
    claim();
    die_and_rescue();
    ASSERT_TRUE(store_->queue().release(claim().lease));
    const ClaimedJob last = claim();
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(store_->queue().cancelled(last.lease));
    ASSERT_TRUE(store_->requests().retry(OrganizationScope::every(), id, "me"));
    ASSERT_TRUE(finish(claim()));
    EXPECT_EQ(kinds(id), (std::vector<std::string>{
                             "submitted", "held", "released", "claimed", "attempt_failed",
                             "claimed", "rescued", "claimed", "interrupted", "claimed",
                             "cancel_requested", "cancelled", "retried", "claimed", "published"}));
    EXPECT_EQ(store_->reader().events(OrganizationScope::one("umbrella"), id, 0).error().code,
              ErrorCode::kNotFound);
    EXPECT_EQ(store_->reader().events(OrganizationScope::one("acme"), id, 14)->items.size(), 1U);
}

TEST_P(JobStoreConformance, TheSameEventAgainIsCounted) {
    const auto id = submit().job_id;
    const std::vector<JobAccess> links{{id, "link_minted", "k1", 2},
                                       {id, "link_minted", "k1", 3},
                                       {id, "link_minted", "k2", 1},
                                       {"no-such-job", "link_minted", "k2", 1}};
    ASSERT_TRUE(store_->accesses().add(links));
    auto events = store_->reader().events(OrganizationScope::every(), id, 1)->items;
    ASSERT_EQ(events.size(), 2U);
    EXPECT_EQ(events[0].count, 5);
    EXPECT_EQ(events[1].actor, "k2");
    clock_.advance(limits::kJobEventMerge + std::chrono::seconds(1));
    ASSERT_TRUE(store_->accesses().add(std::vector<JobAccess>{{id, "link_minted", "k2", 1}}));
    EXPECT_EQ(store_->reader().events(OrganizationScope::every(), id, 1)->items.size(), 3U);
}

TEST_P(JobStoreConformance, ARegistryKeepsItsIdentity) {
    const std::string id = store_->reader().registry_id();
    EXPECT_EQ(id.size(), 32U);
    reopen();
    EXPECT_EQ(store_->reader().registry_id(), id);
    const testing::TempDir other;
    EXPECT_NE(GetParam().open(other.path(), clock_, policy_)->reader().registry_id(), id);
}

TEST_P(JobStoreConformance, UnfinishedJobsHaveAQuota) {
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::unfinished_max, 2)));
    submit();
    const auto external = create_external().job_id;
    const auto refused = store_->requests().create(export_of("acme"));
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kQuotaExceeded);
    EXPECT_NE(refused.error().message.find("2 unfinished jobs"), std::string::npos);
    EXPECT_TRUE(store_->requests().create(export_of("umbrella")))
        << "another organization's is its own";
    EXPECT_EQ(store_->organizations().organization("acme")->unfinished, 2);
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), external, "op"));
    const auto third = submit().job_id;
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), third, "op"));
    submit();
    EXPECT_EQ(store_->requests().retry(OrganizationScope::every(), third, "op").error().code,
              ErrorCode::kQuotaExceeded)
        << "what ended makes room once";
    reopen();
    EXPECT_EQ(store_->requests().create(export_of("acme")).error().code, ErrorCode::kQuotaExceeded);
    ASSERT_TRUE(store_->organizations().set_organization(OrganizationPolicy{"acme", {}}));
    EXPECT_TRUE(store_->requests().create(export_of("acme")));
}

TEST_P(JobStoreConformance, TheSameRequestIsNotRefusedByTheQuotaItFilled) {
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::unfinished_max, 1)));
    NewJob job = export_of("acme");
    job.idempotency_key = "k";
    const auto first = store_->requests().create(job);
    ASSERT_TRUE(first);
    const auto again = store_->requests().create(job);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->job.job_id, first->job.job_id);
}

TEST_P(JobStoreConformance, StoredBytesHaveAQuota) {
    submit();
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    const auto stored = store_->organizations().organization("acme")->stored_bytes;
    EXPECT_EQ(stored, static_cast<std::int64_t>(completion(job).file.bytes));
    ASSERT_GT(stored, 0);
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::stored_bytes_max, stored)));
    EXPECT_EQ(store_->requests().create(export_of("acme")).error().code, ErrorCode::kQuotaExceeded);
    create_external();  // Stores nothing of ours.
    clock_.advance(std::chrono::seconds(86'401));
    EXPECT_EQ(*store_->retention().expire_files(std::chrono::seconds(86'400)), 1U);
    EXPECT_EQ(store_->organizations().organization("acme")->stored_bytes, 0);
    submit();
}

TEST_P(JobStoreConformance, RequestsASecondHaveAQuota) {
    EXPECT_TRUE(store_->organizations().admit_request("acme"));
    ASSERT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::requests_per_second_max, 5)));
    const auto count_admitted = [&] {
        int admitted = 0;
        for (int count = 0; count < 20; ++count)
            admitted += store_->organizations().admit_request("acme") ? 1 : 0;
        return admitted;
    };
    EXPECT_EQ(count_admitted(), 5);
    EXPECT_EQ(store_->organizations().admit_request("acme").error().code,
              ErrorCode::kQuotaExceeded);
    EXPECT_TRUE(store_->organizations().admit_request("umbrella"));
    clock_.advance(std::chrono::milliseconds(400));
    EXPECT_EQ(count_admitted(), 2);
    clock_.advance(std::chrono::hours(1));
    EXPECT_EQ(count_admitted(), 5) << "a second's worth is kept, not more";
    reopen();
    EXPECT_EQ(count_admitted(), 5);
    ASSERT_TRUE(store_->organizations().set_organization(OrganizationPolicy{"acme", {}}));
    EXPECT_EQ(count_admitted(), 20);
}

TEST_P(JobStoreConformance, AnExternalJobThatNobodyReportsOnEndsAndIsForgotten) {
    const auto never_started = create_external().job_id;
    const auto reported = create_external().job_id;
    submit();  // The daemon's own has its turn some day.
    clock_.advance(limits::kExternalSilenceMax - std::chrono::seconds(1));
    ProgressReport report;
    report.mark_started = true;
    ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), reported, report, "w"));
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
    clock_.advance(std::chrono::seconds(2));
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_EQ(find(never_started).status, JobStatus::kFailed);
    EXPECT_EQ(find(never_started).error_message, "no worker has reported on it for 30 days");
    EXPECT_EQ(find(reported).status, JobStatus::kInProgress);
    clock_.advance(limits::kExternalSilenceMax);
    EXPECT_EQ(*store_->retention().enforce_limits(), 1U);
    EXPECT_EQ(store_->retention().prune(limits::kExternalSilenceMax)->jobs, 1U);
    EXPECT_EQ(store_->reader().find(OrganizationScope::every(), never_started).error().code,
              ErrorCode::kNotFound);
}

// Whatever the jobs carry: a page of them is bounded in bytes, and says so by what it leaves out.
TEST_P(JobStoreConformance, APageEndsWhenItsTextsReachTheirBound) {
    const std::string metadata = R"({"a": ")" + std::string(180'000, 'x') + "\"}";
    for (int count = 0; count < 12; ++count) {
        NewJob job = export_of("acme");
        job.metadata_json = metadata;
        ASSERT_TRUE(store_->requests().create(job));
    }
    JobFilter filter;
    filter.limit = 500;
    std::set<std::string> seen;
    for (filter.offset = 0; filter.offset < 12;) {
        const auto page = store_->reader().list(OrganizationScope::one("acme"), filter);
        ASSERT_TRUE(page);
        EXPECT_EQ(page->total, 12);
        ASSERT_FALSE(page->jobs.empty());
        EXPECT_LE(page->jobs.size(), limits::kJobsPageBytesMax / metadata.size());
        for (const auto& job : page->jobs) EXPECT_TRUE(seen.insert(job.job_id).second);
        filter.offset += page->jobs.size();
    }
    EXPECT_EQ(seen.size(), 12U);
}

TEST_P(JobStoreConformance, APageOfEventsSaysWhetherMoreFollow) {
    const auto id = submit().job_id;
    const std::string actor(64 * 1024, 'x');
    std::vector<JobAccess> events;
    for (int count = 0; count < 40; ++count)
        events.push_back({id, "seen", std::to_string(count) + actor, 1});
    ASSERT_TRUE(store_->accesses().add(events));
    std::size_t found = 0;
    std::int64_t after = 1;  // The first one tells of the submission.
    for (bool more = true; more;) {
        const auto page = store_->reader().events(OrganizationScope::every(), id, after);
        ASSERT_TRUE(page);
        ASSERT_FALSE(page->items.empty());
        EXPECT_LE(page->items.size(), limits::kJobsPageBytesMax / actor.size());
        found += page->items.size();
        after = page->items.back().number;
        more = page->more;
    }
    EXPECT_EQ(found, 40U);
}

// A worker that reports a hundred errors must not cost more with each of them.
TEST_P(JobStoreConformance, AReportAnswersWithoutTheEntries) {
    const auto id = create_external().job_id;
    ProgressReport report;
    report.error.emplace().message = "m";
    const auto reported = store_->requests().report(OrganizationScope::every(), id, report, "w");
    ASSERT_TRUE(reported);
    EXPECT_EQ(reported->failed_items, 1);
    EXPECT_TRUE(reported->errors.empty());
    EXPECT_EQ(find(id).errors.size(), 1U);
}

TEST_P(JobStoreConformance, OldFilesAreWithdrawnThenForgottenThenTheirJobs) {
    const auto id = submit().job_id;
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    const auto day = std::chrono::seconds(86'400);
    EXPECT_EQ(*store_->retention().expire_files(day), 0U);
    clock_.advance(day + std::chrono::seconds(1));
    EXPECT_EQ(store_->retention().prune(day)->jobs, 0U);  // Its file is still there.
    EXPECT_EQ(*store_->retention().expire_files(day), 1U);
    EXPECT_EQ(*store_->retention().expire_files(day), 0U);
    model::JobFile file;
    ASSERT_TRUE(store_->reader().find_file(OrganizationScope::every(), id, file));
    EXPECT_EQ(file.file_url, "");
    EXPECT_TRUE(find(id).expired_us);
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    EXPECT_TRUE(store_->files().unpublished_files()->empty());
    EXPECT_TRUE(store_->files().deletable_files()->empty());  // Somebody may have a link.
    EXPECT_EQ(store_->retention().prune(day)->jobs, 0U);
    clock_.advance(limits::kFileDeletionMargin);
    ASSERT_EQ(store_->files().deletable_files()->size(), 1U);
    EXPECT_EQ(store_->retention().prune(day)->jobs, 0U);
    ASSERT_TRUE(store_->files().forget_file(completion(job).file.key));
    EXPECT_EQ(store_->retention().prune(day)->jobs, 1U);
    EXPECT_EQ(store_->reader().find(OrganizationScope::every(), id).error().code,
              ErrorCode::kNotFound);
}

// To the second: nothing goes early.
TEST_P(JobStoreConformance, FilesJobsAndNoticesAreKeptForTheirWholeAge) {
    const auto week = std::chrono::seconds(7 * 86'400);
    submit();
    ASSERT_TRUE(finish(claim()));
    const auto failed = submit().job_id;
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "no", true, 0));
    ASSERT_EQ(store_->outbox().unpublished_notices()->size(), 2U);
    tell_notices();
    clock_.advance(week - std::chrono::seconds(1));
    EXPECT_EQ(*store_->retention().expire_files(week), 0U);
    EXPECT_EQ(store_->retention().prune(week)->jobs, 0U);
    EXPECT_EQ(find(failed).status, JobStatus::kFailed);
    EXPECT_EQ(store_->reader().notices(OrganizationScope::every(), 0)->items.size(), 2U);
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(store_->retention().prune(week)->jobs, 1U);
    EXPECT_EQ(store_->reader().find(OrganizationScope::every(), failed).error().code,
              ErrorCode::kNotFound);
    EXPECT_TRUE(store_->reader().notices(OrganizationScope::every(), 0)->items.empty());
    EXPECT_EQ(*store_->retention().expire_files(week), 1U);
}

TEST_P(JobStoreConformance, ANoticeStaysUntilItIsPublishedAndDelivered) {
    const auto day = std::chrono::seconds(86'400);
    submit();
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "no", true, 0));
    const std::int64_t sequence = store_->outbox().unpublished_notices()->at(0).sequence;
    clock_.advance(10 * day);
    ASSERT_TRUE(store_->retention().prune(day));
    EXPECT_EQ(store_->reader().counts()->notices_pending, 1) << "its job is gone, it is not";
    ASSERT_TRUE(store_->outbox().mark_published(sequence));
    ASSERT_TRUE(store_->retention().prune(day));
    ASSERT_EQ(take_notices().size(), 1U) << "published, not delivered";
    ASSERT_TRUE(store_->retention().prune(day));
    ASSERT_TRUE(store_->outbox().mark_delivery(sequence, Outbox::Delivery::kRetry, "503", 0));
    ASSERT_TRUE(store_->retention().prune(day));
    ASSERT_EQ(take_notices().size(), 1U) << "tried, not delivered";
    ASSERT_TRUE(store_->outbox().mark_delivery(sequence, Outbox::Delivery::kDone, "200", 0));
    ASSERT_TRUE(store_->retention().prune(day));
    EXPECT_TRUE(store_->reader().notices(OrganizationScope::every(), 0)->items.empty());
}

TEST_P(JobStoreConformance, ALostFileIsWithdrawn) {
    const auto id = submit().job_id;
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    const auto published = store_->files().published_files("");
    ASSERT_EQ(published->size(), 1U);
    EXPECT_EQ((*published)[0].sha256, "ab");
    EXPECT_EQ((*published)[0].bytes, 42U);
    ASSERT_TRUE(store_->files().withdraw_file((*published)[0].key, "the file is gone"));
    EXPECT_TRUE(store_->files().published_files("")->empty());
    EXPECT_EQ(kinds(id).back(), "withdrawn");
}

TEST_P(JobStoreConformance, EveryEndIsANoticeWithANumberOfItsOwn) {
    submit("acme");
    ASSERT_TRUE(finish(claim()));
    submit("umbrella");
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "no", true, 0));
    const auto cancelled = submit("acme").job_id;
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), cancelled, "me"));
    const auto fresh = store_->outbox().unpublished_notices();
    ASSERT_EQ(fresh->size(), 3U);
    EXPECT_EQ((*fresh)[0].type, "job.completed");
    EXPECT_EQ((*fresh)[1].type, "job.failed");
    EXPECT_EQ((*fresh)[2].type, "job.cancelled");
    EXPECT_EQ((*fresh)[2].sequence, (*fresh)[0].sequence + 2);
    EXPECT_EQ((*fresh)[0].body_json.find("file_url"), std::string::npos);
    ASSERT_TRUE(store_->outbox().mark_published((*fresh)[1].sequence));
    EXPECT_EQ(store_->outbox().unpublished_notices()->size(), 1U);
    EXPECT_EQ(take_notices().size(), 2U);
    ASSERT_TRUE(
        store_->outbox().mark_delivery((*fresh)[0].sequence, Outbox::Delivery::kDone, "200", 0));
    ASSERT_TRUE(store_->outbox().mark_delivery((*fresh)[1].sequence, Outbox::Delivery::kRetry,
                                               "503", 5'000'000));
    EXPECT_EQ(take_notices().size(), 1U);
    ASSERT_TRUE(
        store_->outbox().mark_delivery((*fresh)[2].sequence, Outbox::Delivery::kGivenUp, "410", 0));
    EXPECT_TRUE(take_notices().empty());
    EXPECT_EQ(store_->reader().counts()->notices_pending, 1);
    clock_.advance(std::chrono::seconds(6));
    const auto again = take_notices();
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].attempts, 1);
    EXPECT_EQ(store_->reader().notices(OrganizationScope::one("umbrella"), 0)->items.size(), 1U);
    EXPECT_EQ(store_->reader()
                  .notices(OrganizationScope::one("acme"), (*fresh)[0].sequence)
                  ->items.size(),
              1U);
}

}  // namespace export_worker::jobs
