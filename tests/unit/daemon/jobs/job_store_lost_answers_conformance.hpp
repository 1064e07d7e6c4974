// What every job store must do, 5: a commit happens and its answer is lost. The same write, run
// again with the same ids, says what the first did; nothing happens twice, and a published file
// stays.
#pragma once

#include <algorithm>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/unattended_jobs.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"
#include "tests/unit/support/lost_answers.hpp"

namespace export_worker::jobs {

// So many that the store gives up by itself.
inline constexpr int kTooManyLost = limits::kOutcomeTriesMax;

inline std::ptrdiff_t count_of(const std::vector<std::string>& kinds, const char* kind) {
    return std::ranges::count(kinds, kind);
}

TEST_P(JobStoreConformance, AJobWhoseAnswerIsLostIsCreatedOnce) {
    testing::lose_commit_answers(1);
    const auto created = store_->requests().create(export_of("acme"));
    ASSERT_TRUE(created) << created.error().message;
    EXPECT_FALSE(created->existed);
    EXPECT_EQ(store_->reader().list(OrganizationScope::every(), {})->total, 1);
    EXPECT_EQ(kinds(created->job.job_id), std::vector<std::string>{"submitted"});
}

TEST_P(JobStoreConformance, ACallerIsToldThatAJobMayBeThere) {
    NewJob job = export_of("acme");
    job.idempotency_key = "once";
    testing::lose_commit_answers(1 + kTooManyLost);
    EXPECT_EQ(store_->requests().create(job).error().code, ErrorCode::kUnknownOutcome);
    const auto again = store_->requests().create(job);
    ASSERT_TRUE(again);
    EXPECT_TRUE(again->existed);
    EXPECT_EQ(store_->reader().list(OrganizationScope::every(), {})->total, 1);
}

TEST_P(JobStoreConformance, JobsThatAreBegunTogetherAreCreatedOnce) {
    std::vector<Pending<CreatedJob>> pending;
    testing::lose_commit_answers(1);
    for (int count = 0; count < 20; ++count)
        pending.push_back(*store_->requests().begin_create(export_of("acme")));
    std::set<std::string> ids;
    for (const auto& each : pending) {
        const auto created = each();
        ASSERT_TRUE(created) << created.error().message;
        EXPECT_FALSE(created->existed);
        ids.insert(created->job.job_id);
    }
    EXPECT_EQ(ids.size(), 20U);
    EXPECT_EQ(store_->reader().list(OrganizationScope::every(), {})->total, 20);
}

TEST_P(JobStoreConformance, AClaimWhoseAnswerIsLostIsFoundAgain) {
    submit();
    submit();
    testing::lose_commit_answers(1);
    const ClaimedJob first = claim();
    EXPECT_EQ(first.lease.epoch, 1);
    EXPECT_EQ(store_->reader().counts()->in_progress, 1);
    EXPECT_EQ(kinds(first.lease.job_id), (std::vector<std::string>{"submitted", "claimed"}));

    testing::lose_commit_answers(kTooManyLost);
    EXPECT_EQ(store_->queue().claim().error().code, ErrorCode::kUnknownOutcome);
    const ClaimedJob second = claim();
    EXPECT_EQ(second.lease.epoch, 1);
    EXPECT_EQ(second.attempt, 1);
    EXPECT_NE(second.lease.job_id, first.lease.job_id);
    EXPECT_FALSE((*store_->queue().claim()).has_value());
    EXPECT_TRUE(store_->queue().heartbeat(second.lease, {1, 10, "reading"}));
}

TEST_P(JobStoreConformance, ACompletionWhoseAnswerIsLostKeepsItsFile) {
    const auto id = submit().job_id;
    const ClaimedJob job = claim();
    const Completion done = completion(job);
    testing::lose_commit_answers(1);
    ASSERT_TRUE(store_->queue().intend_file(job.lease, done.file.key));
    testing::lose_commit_answers(kTooManyLost);
    EXPECT_EQ(store_->queue().complete(job.lease, done).error().code, ErrorCode::kUnknownOutcome);
    EXPECT_TRUE(store_->queue().complete(job.lease, done, jobs::Run::kAgain));
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    EXPECT_EQ((*store_->files().published_files("")).at(0).key, done.file.key);
    EXPECT_TRUE(store_->files().unpublished_files()->empty());
    EXPECT_EQ(count_of(kinds(id), "published"), 1);
    EXPECT_EQ(store_->outbox().unpublished_notices()->size(), 1U);
}

TEST_P(JobStoreConformance, ACompletionOfALostLeasePublishesNothingWhenRunAgain) {
    submit();
    const ClaimedJob zombie = claim();
    ASSERT_TRUE(store_->queue().intend_file(zombie.lease, completion(zombie).file.key));
    ASSERT_TRUE(store_->queue().give_up_attempt(zombie.lease, "no progress", false, 0));
    ASSERT_TRUE(finish(claim()));
    EXPECT_EQ(
        store_->queue().complete(zombie.lease, completion(zombie), jobs::Run::kAgain).error().code,
        ErrorCode::kConflict);
    EXPECT_EQ(store_->files().unpublished_files()->at(0).key, completion(zombie).file.key);
}

TEST_P(JobStoreConformance, AnEndWhoseAnswerIsLostIsRecordedOnce) {
    const auto end = [&](const char* kind, auto write) {
        const auto id = submit().job_id;
        const ClaimedJob job = claim();
        if (kind == std::string("cancelled")) {
            ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
        }
        testing::lose_commit_answers(kTooManyLost);
        EXPECT_EQ(write(job.lease, jobs::Run::kFirst).error().code, ErrorCode::kUnknownOutcome)
            << kind;
        EXPECT_TRUE(write(job.lease, jobs::Run::kAgain)) << kind;
        EXPECT_EQ(count_of(kinds(id), kind), 1) << kind;
        EXPECT_EQ(find(id).epoch, 1) << kind;
        if (!model::is_final(find(id).status)) {
            ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
        }
    };
    JobQueue& queue = store_->queue();
    end("attempt_failed", [&](const model::Lease& lease, jobs::Run run) {
        return queue.give_up_attempt(lease, "disk on fire", false, 0, run);
    });
    end("interrupted",
        [&](const model::Lease& lease, jobs::Run run) { return queue.release(lease, run); });
    end("cancelled",
        [&](const model::Lease& lease, jobs::Run run) { return queue.cancelled(lease, run); });
}

TEST_P(JobStoreConformance, ADeliveryWhoseAnswerIsLostIsCountedOnce) {
    submit();
    ASSERT_TRUE(finish(claim()));
    const std::int64_t sequence = take_notices().at(0).sequence;
    testing::lose_commit_answers(1);
    ASSERT_TRUE(store_->outbox().mark_delivery(sequence, Outbox::Delivery::kRetry, "503", 0));
    EXPECT_EQ(take_notices().at(0).attempts, 1);
    testing::lose_commit_answers(1);
    ASSERT_TRUE(store_->outbox().mark_published(sequence));
    EXPECT_TRUE(store_->outbox().unpublished_notices()->empty());
}

TEST_P(JobStoreConformance, AReportWhoseAnswerIsLostIsTakenOnce) {
    const auto id = create_external().job_id;
    ProgressReport report;
    report.mark_started = true;
    report.error = model::JobEntry();
    testing::lose_commit_answers(1);
    ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, report, "me"));
    EXPECT_EQ(find(id).failed_items, 1);
    EXPECT_EQ(find(id).errors.size(), 1U);
    // The same by the caller's own hand, after the job has ended, too.
    report.report_id = "r2";
    report.mark_completed = true;
    for (int times = 0; times < 2; ++times)
        ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, report, "me"));
    EXPECT_EQ(find(id).failed_items, 2);
    EXPECT_EQ(find(id).status, JobStatus::kPartialSuccess);
    report.report_id = "r3";
    EXPECT_EQ(store_->requests().report(OrganizationScope::every(), id, report, "me").error().code,
              ErrorCode::kConflict);
}

TEST_P(JobStoreConformance, AReportWhoseAnswerStaysLostIsSentAgainByItsCaller) {
    const auto id = create_external().job_id;
    ProgressReport report;
    report.report_id = "r1";
    report.mark_started = true;
    report.warning = model::JobEntry();
    const auto send = [&] {
        return store_->requests().report(OrganizationScope::every(), id, report, "w");
    };
    testing::lose_commit_answers(1 + kTooManyLost);
    EXPECT_EQ(send().error().code, ErrorCode::kUnknownOutcome);
    ASSERT_TRUE(send());
    EXPECT_EQ(find(id).warned_items, 1);
    EXPECT_EQ(kinds(id), (std::vector<std::string>{"submitted", "started"}));
}

TEST_P(JobStoreConformance, WhatACallerAsksOfAJobHappensOnceWhenTheAnswerIsLost) {
    const auto every = OrganizationScope::every();
    JobRequests& requests = store_->requests();
    const auto id = submit().job_id;
    const auto running = submit("umbrella").job_id;
    const auto once = [&](const std::string& job_id, const char* kind, auto ask) {
        testing::lose_commit_answers(1);
        const Result<model::Job> asked = ask();
        ASSERT_TRUE(asked) << kind << ": " << asked.error().message;
        EXPECT_EQ(count_of(kinds(job_id), kind), 1) << kind;
        EXPECT_EQ(store_->reader().events(every, job_id, 0)->items.back().count, 1) << kind;
    };
    once(id, "held", [&] { return requests.hold(every, id, "me"); });
    EXPECT_TRUE(find(id).held);
    once(id, "released", [&] { return requests.release_hold(every, id, "me"); });
    EXPECT_FALSE(find(id).held);
    once(id, "cancelled", [&] { return requests.request_cancel(every, id, "me"); });
    EXPECT_EQ(find(id).status, JobStatus::kCancelled);
    EXPECT_EQ(store_->outbox().unpublished_notices()->size(), 1U);
    once(id, "retried", [&] { return requests.retry(every, id, "me"); });
    EXPECT_EQ(find(id).status, JobStatus::kPending);
    for (ClaimedJob job = claim(); job.lease.job_id != running;) job = claim();
    once(running, "cancel_requested",
         [&] { return requests.request_cancel(every, running, "me"); });
    EXPECT_TRUE(find(running).cancel_requested);
}

TEST_P(JobStoreConformance, WhatAJobsStateForbidsStaysForbiddenWhenTheAnswerIsLost) {
    const auto every = OrganizationScope::every();
    JobRequests& requests = store_->requests();
    const auto id = submit().job_id;
    const auto refused = [&](auto ask) {
        testing::lose_commit_answers(1);
        EXPECT_EQ(ask().error().code, ErrorCode::kConflict);
    };
    refused([&] { return requests.retry(every, id, "me"); });
    ASSERT_TRUE(requests.request_cancel(every, id, "me"));
    refused([&] { return requests.request_cancel(every, id, "me"); });
    refused([&] { return requests.hold(every, id, "me"); });
    refused([&] { return requests.release_hold(every, id, "me"); });
}

TEST_P(JobStoreConformance, WhatAnOperatorSetsIsWrittenWhenTheAnswerIsLost) {
    const auto day = std::chrono::seconds(86'400);
    submit();
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    const model::FileKey key = completion(job).file.key;
    testing::lose_commit_answers(1);
    EXPECT_TRUE(store_->organizations().set_organization(
        quota("acme", &OrganizationPolicy::stored_bytes_max, 7)));
    testing::lose_commit_answers(1);
    EXPECT_TRUE(store_->files().set_link_lifetime(std::chrono::seconds(60)));
    testing::lose_commit_answers(1);
    EXPECT_TRUE(store_->files().withdraw_file(key, "gone"));
    EXPECT_EQ(count_of(kinds(job.lease.job_id), "withdrawn"), 1);
    testing::lose_commit_answers(1);
    EXPECT_TRUE(store_->files().forget_file(key));
    testing::lose_commit_answers(1);
    EXPECT_TRUE(*store_->retention().check_retention_clock(day));
    jump_registry_clock(3 * day);
    ASSERT_FALSE(*store_->retention().check_retention_clock(day));
    testing::lose_commit_answers(1);
    EXPECT_TRUE(*store_->retention().resume_retention()) << "it was paused";
    clock_.advance(day);
    testing::lose_commit_answers(1);
    EXPECT_TRUE(store_->retention().prune(day));
    EXPECT_FALSE(store_->reader().find(OrganizationScope::every(), job.lease.job_id));
}

// As when all workers are busy after that: no later claim asks what became of it.
TEST_P(JobStoreConformance, AJobOfAClaimThatIsNotAskedForAgainIsPutBack) {
    const auto id = submit().job_id;
    testing::lose_commit_answers(kTooManyLost);
    EXPECT_EQ(store_->queue().claim().error().code, ErrorCode::kUnknownOutcome);
    testing::lose_commit_answers(0);
    const auto owned = store_->queue().owned_jobs();
    ASSERT_EQ(owned->size(), 1U);
    EXPECT_EQ(owned->at(0).job_id, id);
    UnattendedJobs unattended;
    EXPECT_EQ(*unattended.release(store_->queue(), {}, clock_.steady()), 0U);
    clock_.advance(limits::kUnattendedMax);
    EXPECT_EQ(*unattended.release(store_->queue(), {}, clock_.steady()), 1U);
    EXPECT_EQ(find(id).status, JobStatus::kPending);
    EXPECT_TRUE(store_->queue().owned_jobs()->empty());
    // The worker asks at last: with the token of the claim that was lost.
    const ClaimedJob job = claim();
    EXPECT_EQ(job.lease.job_id, id);
    EXPECT_EQ(job.attempt, 1);
    ASSERT_TRUE(finish(job));
}

TEST_P(JobStoreConformance, ALeaseWithTheTokenOfAnotherClaimIsLost) {
    submit();
    const ClaimedJob job = claim();
    model::Lease other = job.lease;
    other.claim_token = "0123456789abcdef";
    JobQueue& queue = store_->queue();
    EXPECT_EQ(queue.heartbeat(other, {1, 10, "x"}).error().code, ErrorCode::kConflict);
    EXPECT_EQ(queue.intend_file(other, "k").error().code, ErrorCode::kConflict);
    EXPECT_EQ(queue.complete(other, completion(job)).error().code, ErrorCode::kConflict);
    EXPECT_EQ(queue.give_up_attempt(other, "x", true, 0).error().code, ErrorCode::kConflict);
    EXPECT_EQ(queue.release(other).error().code, ErrorCode::kConflict);
    EXPECT_EQ(queue.cancelled(other).error().code, ErrorCode::kConflict);
    EXPECT_TRUE(queue.heartbeat(job.lease, {1, 10, "x"}));
}

TEST_P(JobStoreConformance, EveryClaimHasATokenOfItsOwn) {
    submit();
    const ClaimedJob first = claim();
    ASSERT_TRUE(store_->queue().give_up_attempt(first.lease, "no progress", false, 0));
    const ClaimedJob second = claim();
    EXPECT_EQ(first.lease.claim_token.size(), 16U);
    EXPECT_EQ(second.lease.claim_token.size(), 16U);
    EXPECT_NE(first.lease.claim_token, second.lease.claim_token);
}

}  // namespace export_worker::jobs
