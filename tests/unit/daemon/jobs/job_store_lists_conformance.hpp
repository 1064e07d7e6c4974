// The conformance suite of job stores: lists, numbers, links and downloads, and whose turn it is
// when many jobs wait for a time to come.
#pragma once

#include "daemon/jobs/limits.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

using Ids = std::vector<std::string>;

inline Ids ids_of(const JobPage& page) {
    Ids out;
    for (const model::Job& job : page.jobs) out.push_back(job.job_id);
    return out;
}

TEST_P(JobStoreConformance, APageBeginsBehindTheLastOneWhateverArrives) {
    Ids submitted;
    for (int count = 0; count < 5; ++count) {
        submitted.insert(submitted.begin(), submit().job_id);
        clock_.advance(std::chrono::milliseconds(2));
    }
    const auto page = [&](const std::string& after) {
        return *store_->reader().list(OrganizationScope::one("acme"), {.limit = 2, .after = after});
    };
    Ids seen;
    for (JobPage last = page("");; last = page(seen.back())) {
        EXPECT_EQ(last.total, static_cast<std::int64_t>(5 + seen.size() / 2));
        for (const std::string& id : ids_of(last)) seen.push_back(id);
        if (!last.more) break;
        submit();
    }
    EXPECT_EQ(seen, submitted);
    EXPECT_TRUE(page(seen.back()).jobs.empty());
}

TEST_P(JobStoreConformance, FiltersMergeWhatTheyFindNewestFirst) {
    Ids all;
    Ids crawls;
    for (int count = 0; count < 6; ++count) {
        clock_.advance(std::chrono::milliseconds(2));
        NewJob job = export_of(count % 2 == 0 ? "acme" : "umbrella");
        if (count % 3 == 0) job.job_type = "crawl";
        const std::string id = store_->requests().create(job)->job.job_id;
        all.insert(all.begin(), id);
        if (count % 3 == 0) crawls.insert(crawls.begin(), id);
    }
    const auto list = [&](const OrganizationScope& scope, const JobFilter& filter) {
        return *store_->reader().list(scope, filter);
    };
    const auto every = OrganizationScope::every();
    EXPECT_EQ(ids_of(list(every, {})), all);
    EXPECT_EQ(ids_of(list(every, {.status = JobStatus::kPending})), all);
    EXPECT_EQ(ids_of(list(every, {.job_type = "crawl"})), crawls);
    EXPECT_EQ(ids_of(list(every, {.status = JobStatus::kPending, .limit = 2, .offset = 1})),
              (Ids{all[1], all[2]}));
    EXPECT_EQ(ids_of(list(every, {.job_type = "crawl", .after = crawls[0]})), Ids{crawls[1]});
    EXPECT_EQ(ids_of(list(OrganizationScope::one("umbrella"), {.status = JobStatus::kPending})),
              (Ids{all[0], all[2], all[4]}));
    ASSERT_TRUE(store_->requests().request_cancel(every, all[2], "test"));
    EXPECT_EQ(ids_of(list(every, {.status = JobStatus::kCancelled})), Ids{all[2]});
    EXPECT_EQ(list(every, {.status = JobStatus::kPending}).total, 5);
}

TEST_P(JobStoreConformance, NumbersFollowEveryChange) {
    const auto counted = [&] {
        const JobCounts counts = *store_->reader().counts();
        return std::vector{counts.pending, counts.in_progress, counts.completed, counts.failed,
                           counts.cancelled};
    };
    using Numbers = std::vector<std::int64_t>;
    const auto every = OrganizationScope::every();
    for (int count = 0; count < 4; ++count) submit();
    EXPECT_EQ(counted(), (Numbers{4, 0, 0, 0, 0}));
    const ClaimedJob published = claim();
    const ClaimedJob failed = claim();
    EXPECT_EQ(counted(), (Numbers{2, 2, 0, 0, 0}));
    ASSERT_TRUE(finish(published));
    ASSERT_TRUE(store_->queue().give_up_attempt(failed.lease, "no use", true, 0));
    const ClaimedJob cancelled = claim();
    ASSERT_TRUE(store_->requests().request_cancel(every, cancelled.lease.job_id, "test"));
    ASSERT_TRUE(store_->queue().cancelled(cancelled.lease));
    EXPECT_EQ(counted(), (Numbers{1, 0, 1, 1, 1}));
    EXPECT_EQ(store_->reader().counts()->notices_pending, 3);
    ASSERT_TRUE(store_->requests().retry(every, failed.lease.job_id, "test"));
    EXPECT_EQ(counted(), (Numbers{2, 0, 1, 0, 1}));
    EXPECT_EQ(store_->organizations().organization("acme")->unfinished, 2);
    clock_.advance(std::chrono::hours(48));
    EXPECT_EQ(store_->retention().prune(std::chrono::hours(24))->jobs, 1U);
    EXPECT_EQ(counted(), (Numbers{2, 0, 1, 0, 0}));
    reopen();
    EXPECT_EQ(counted(), (Numbers{2, 0, 1, 0, 0}));
}

TEST_P(JobStoreConformance, AnOrganizationWhoseJobsAreAllToComeHoldsNobodyUp) {
    NewJob later = export_of("early");
    later.start_unix_us = clock_.unix_us() + 3'600'000'000;
    const std::string waits = store_->requests().create(later)->job.job_id;
    EXPECT_FALSE(*store_->queue().claim());
    const std::string due = submit("late").job_id;
    EXPECT_EQ(claim().lease.job_id, due);
    EXPECT_FALSE(*store_->queue().claim());
    const std::string sooner = submit("early").job_id;
    EXPECT_EQ(claim().lease.job_id, sooner);
    EXPECT_FALSE(*store_->queue().claim());
    clock_.advance(std::chrono::hours(1));
    EXPECT_EQ(claim().lease.job_id, waits);
}

TEST_P(JobStoreConformance, WhateverMakesAJobWaitMakesItsOrganizationWait) {
    const auto every = OrganizationScope::every();
    NewJob later = export_of("acme");
    later.start_unix_us = clock_.unix_us() + 3'600'000'000;
    ASSERT_TRUE(store_->requests().create(later));
    const std::string id = submit().job_id;
    const auto nothing = [&] { return !*store_->queue().claim(); };
    ClaimedJob job = claim();
    EXPECT_TRUE(nothing());
    ASSERT_TRUE(store_->queue().release(job.lease));
    job = claim();
    EXPECT_TRUE(nothing());
    ASSERT_TRUE(store_->queue().give_up_attempt(job.lease, "later", false, 1'000'000));
    EXPECT_TRUE(nothing());
    clock_.advance(std::chrono::seconds(1));
    job = claim();
    EXPECT_TRUE(nothing());
    EXPECT_EQ(die_and_rescue(), 1U);
    job = claim();
    EXPECT_TRUE(nothing());
    ASSERT_TRUE(store_->queue().give_up_attempt(job.lease, "no use", true, 0));
    ASSERT_TRUE(store_->requests().retry(every, id, "test"));
    ASSERT_TRUE(store_->requests().hold(every, id, "test"));
    EXPECT_TRUE(nothing());
    ASSERT_TRUE(store_->requests().release_hold(every, id, "test"));
    EXPECT_EQ(claim().lease.job_id, id);
}

TEST_P(JobStoreConformance, AClaimPassesByWhatIsPastItsDeadline) {
    NewJob late = export_of("acme");
    late.deadline = std::chrono::seconds(1);
    for (std::size_t count = 0; count <= limits::kHousekeepingBatch; ++count)
        ASSERT_TRUE(store_->requests().create(late));
    clock_.advance(std::chrono::seconds(2));
    const std::string id = submit().job_id;
    EXPECT_EQ(claim().lease.job_id, id);
    EXPECT_EQ(store_->reader().counts()->failed,
              static_cast<std::int64_t>(limits::kHousekeepingBatch) + 1);
}

// A poller asks for what is behind the last number it saw, whichever kind that was.
TEST_P(JobStoreConformance, NumbersOfEventsMissNeitherChangesNorLinks) {
    const auto id = submit().job_id;
    const auto link = [&](const char* actor) {
        ASSERT_TRUE(store_->accesses().add(std::vector<JobAccess>{{id, "link_minted", actor, 1}}));
    };
    std::int64_t last = 0;
    const auto fresh = [&] {
        std::vector<std::string> out;
        const auto events = store_->reader().events(OrganizationScope::every(), id, last);
        for (const model::JobEvent& event : events->items) {
            EXPECT_GT(event.number, last);
            last = event.number;
            out.push_back(event.kind + " " + event.actor.substr(0, 2));
        }
        EXPECT_FALSE(events->more);
        return out;
    };
    EXPECT_EQ(fresh(), Ids{"submitted "});
    link("k1");
    EXPECT_EQ(fresh(), Ids{"link_minted k1"});
    ASSERT_TRUE(store_->requests().hold(OrganizationScope::every(), id, "me"));
    clock_.advance(std::chrono::hours(72));
    link("k2");
    EXPECT_EQ(fresh(), (Ids{"held me", "link_minted k2"}));
    ASSERT_TRUE(store_->requests().release_hold(OrganizationScope::every(), id, "me"));
    EXPECT_EQ(fresh(), Ids{"released me"});
    EXPECT_EQ(fresh(), Ids());
}

TEST_P(JobStoreConformance, LinksAreForgottenByTheirAge) {
    const auto id = submit().job_id;
    const std::vector<JobAccess> links{{id, "link_minted", "k1", 1}, {id, "downloaded", "k1", 1}};
    ASSERT_TRUE(store_->accesses().add(links));
    const auto day = std::chrono::hours(24);
    EXPECT_EQ(store_->retention().prune(day)->accesses, 0U);
    clock_.advance(3 * day);
    EXPECT_EQ(store_->retention().prune(day)->accesses, 2U);
    EXPECT_EQ(kinds(id), Ids{"submitted"});
}

}  // namespace export_worker::jobs
