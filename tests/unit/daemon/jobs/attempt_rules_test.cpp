#include "daemon/jobs/attempt_rules.hpp"

#include <gtest/gtest.h>

#include <tuple>

#include <string>

#include "daemon/jobs/limits.hpp"

namespace export_worker::jobs {
namespace {

using model::Job;
using model::JobStatus;

constexpr Now kNow{.us = 5'000, .wall_us = 9'000};
constexpr std::int64_t kDelay = 70;

// In its second attempt of three.
Job running() {
    Job job;
    job.status = JobStatus::kInProgress;
    job.attempt = 2;
    job.attempts_max = 3;
    job.stage = "writing";
    job.due_us = 1'000;
    return job;
}

void expect_pending(const Job& job, int attempt, std::int64_t due_us) {
    EXPECT_EQ(job.status, JobStatus::kPending);
    EXPECT_EQ(job.attempt, attempt);
    EXPECT_EQ(job.due_us, due_us);
    EXPECT_EQ(job.stage, "");
    EXPECT_FALSE(job.completed_us.has_value());
}

void expect_ended(const Job& job, JobStatus status) {
    EXPECT_EQ(job.status, status);
    EXPECT_EQ(job.stage, "");
    EXPECT_EQ(job.completed_us, kNow.wall_us);
}

TEST(AttemptRules, WhatFailedAndWarnedDecidesHowAJobCompletes) {
    const auto completed = [](std::int64_t failed, std::int64_t warned) {
        Job job = running();
        job.error_message = "of the attempt before";
        Completion completion;
        completion.processed_items = 7;
        completion.failed_items = failed;
        completion.warned_items = warned;
        complete_attempt(job, completion, kNow);
        EXPECT_EQ(job.error_message, "");
        EXPECT_EQ(job.total_items, 7 + failed);
        return job;
    };
    expect_ended(completed(0, 0), JobStatus::kCompleted);
    expect_ended(completed(0, 1), JobStatus::kCompletedWithWarnings);
    expect_ended(completed(1, 1), JobStatus::kPartialSuccess);
}

TEST(AttemptRules, AnAttemptThatIsGivenUpComesAgainUnlessItWasTheLast) {
    Job job = running();
    give_up_attempt(job, "disk", false, kDelay, kNow);
    expect_pending(job, 2, kNow.us + kDelay);
    EXPECT_EQ(job.error_message, "disk");
    Job last = running();
    last.attempt = 3;
    give_up_attempt(last, "disk", false, kDelay, kNow);
    expect_ended(last, JobStatus::kFailed);
    Job hopeless = running();
    give_up_attempt(hopeless, "disk", true, kDelay, kNow);
    expect_ended(hopeless, JobStatus::kFailed);
}

TEST(AttemptRules, ACancellationOutweighsAnAttemptThatIsGivenUp) {
    for (const bool permanent : {false, true}) {
        Job job = running();
        job.cancel_requested = true;
        give_up_attempt(job, "disk", permanent, kDelay, kNow);
        expect_ended(job, JobStatus::kCancelled);
    }
}

TEST(AttemptRules, AnInterruptionCostsNoAttemptUntilThereAreTooMany) {
    Job job = running();
    release_attempt(job, kNow);
    expect_pending(job, 1, kNow.us);
    EXPECT_EQ(job.interruptions, 1);
    Job often = running();
    often.interruptions = limits::kJobInterruptionsMax;
    release_attempt(often, kNow);
    expect_pending(often, 2, kNow.us);
    often.status = JobStatus::kInProgress;
    often.attempt = 3;
    release_attempt(often, kNow);
    expect_ended(often, JobStatus::kFailed);
}

TEST(AttemptRules, ADeathOfTheDaemonCostsNoAttemptAndTooManyFailTheJob) {
    Job job = running();
    rescue_attempt(job, kNow);
    expect_pending(job, 1, kNow.us);
    Job cancelled = running();
    cancelled.cancel_requested = true;
    rescue_attempt(cancelled, kNow);
    expect_ended(cancelled, JobStatus::kCancelled);
    Job deadly = running();
    deadly.crashes = limits::kJobCrashesMax - 1;
    rescue_attempt(deadly, kNow);
    expect_ended(deadly, JobStatus::kFailed);
    EXPECT_NE(deadly.error_message, "");
}

TEST(AttemptRules, ARetryBeginsAnew) {
    Job job = running();
    job.crashes = 1;
    job.interruptions = 1;
    job.held = true;
    job.processed_items = 5;
    job.error_message = "no";
    cancel_job(job, kNow);
    expect_ended(job, JobStatus::kCancelled);
    retry_job(job, kNow);
    expect_pending(job, 0, kNow.us);
    EXPECT_EQ(job.crashes + job.interruptions, 0);
    EXPECT_FALSE(job.held || job.cancel_requested);
    EXPECT_EQ(job.processed_items, 0);
    EXPECT_EQ(job.error_message, "");
}

TEST(AttemptRules, ACancelEndsAJobThatNoWorkerOfOursRuns) {
    using enum model::JobStatus;
    using enum model::JobRunner;
    for (const auto& [status, runner, ends] :
         {std::tuple(kPending, kDaemon, true), std::tuple(kPending, kExternal, true),
          std::tuple(kInProgress, kExternal, true), std::tuple(kInProgress, kDaemon, false)}) {
        model::Job job;
        job.status = status;
        job.runner = runner;
        EXPECT_EQ(request_cancel(job, {1, 2}), ends);
        EXPECT_TRUE(job.cancel_requested);
        EXPECT_EQ(job.status, ends ? kCancelled : kInProgress);
    }
}

}  // namespace
}  // namespace export_worker::jobs
