// What every job store must do, 1: who may write what, in every order of events. Instantiate with a
// factory (see sqlite_job_store_test.cpp).
#pragma once

#include "daemon/jobs/limits.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

TEST_P(JobStoreConformance, AJobGoesThroughItsLife) {
    const auto id = submit().job_id;
    EXPECT_EQ(find(id).status, JobStatus::kPending);
    const ClaimedJob job = claim();
    EXPECT_EQ(job.lease.job_id, id);
    EXPECT_EQ(job.lease.epoch, 1);
    EXPECT_EQ(job.attempt, 1);
    EXPECT_FALSE(*store_->queue().heartbeat(job.lease, {5, 10, "reading"}));
    EXPECT_EQ(find(id).processed_items, 5);
    EXPECT_EQ(find(id).stage, "reading");
    ASSERT_TRUE(finish(job));
    const auto done = find(id);
    EXPECT_EQ(done.status, JobStatus::kCompleted);
    const auto metadata = parse_json_or_throw(done.metadata_json);
    EXPECT_EQ(metadata["file_url"], "file:///x/" + id);
    EXPECT_EQ(metadata["filename"], "products.csv");
    EXPECT_EQ(metadata["rows"], 7);
    EXPECT_TRUE(done.completed_us);
    EXPECT_FALSE((*store_->queue().claim()).has_value());
}

TEST_P(JobStoreConformance, IsDurable) {
    const auto id = submit().job_id;
    ASSERT_TRUE(finish(claim()));
    reopen();
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
}

TEST_P(JobStoreConformance, OtherOrganizationsSeeNothing) {
    const auto id = submit("acme").job_id;
    const auto other = OrganizationScope::one("umbrella");
    model::JobFile file;
    EXPECT_EQ(store_->reader().find(other, id).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_->reader().find_file(other, id, file).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_->requests().request_cancel(other, id, "me").error().code,
              ErrorCode::kNotFound);
    EXPECT_EQ(store_->requests().retry(other, id, "me").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_->requests().report(other, id, {}, "me").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_->reader().list(other, {})->total, 0);
    EXPECT_EQ(store_->reader().find(other, id).error().message,
              store_->reader().find(other, "no-such-job").error().message);
    EXPECT_TRUE(store_->reader().find(OrganizationScope::one("acme"), id));
}

TEST_P(JobStoreConformance, AnOldEpochChangesNothing) {
    submit();
    const ClaimedJob zombie = claim();
    ASSERT_TRUE(store_->queue().give_up_attempt(zombie.lease, "disk on fire", false, 0));
    const ClaimedJob current = claim();
    EXPECT_EQ(current.lease.epoch, zombie.lease.epoch + 1);
    EXPECT_EQ(store_->queue().heartbeat(zombie.lease, {9, 10, "x"}).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().intend_file(zombie.lease, "acme/z").error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().complete(zombie.lease, completion(zombie)).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().give_up_attempt(zombie.lease, "x", true, 0).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().release(zombie.lease).error().code, ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().cancelled(zombie.lease).error().code, ErrorCode::kConflict);
    ASSERT_TRUE(finish(current));
    EXPECT_EQ(find(current.lease.job_id).status, JobStatus::kCompleted);
}

// Its successor is to be cancelled: only the epoch tells them apart then.
TEST_P(JobStoreConformance, AnOldEpochDoesNotCancelItsSuccessor) {
    const auto id = submit().job_id;
    const ClaimedJob zombie = claim();
    ASSERT_TRUE(store_->queue().give_up_attempt(zombie.lease, "no progress", false, 0));
    const ClaimedJob current = claim();
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    EXPECT_EQ(store_->queue().cancelled(zombie.lease).error().code, ErrorCode::kConflict);
    EXPECT_EQ(find(id).status, JobStatus::kInProgress);
    ASSERT_TRUE(store_->queue().cancelled(current.lease));
    EXPECT_EQ(find(id).status, JobStatus::kCancelled);
}

TEST_P(JobStoreConformance, AZombieFailsBetweenRescueAndTheNextClaimToo) {
    submit();
    const ClaimedJob zombie = claim();
    EXPECT_EQ(die_and_rescue(), 1U);
    EXPECT_EQ(store_->queue().heartbeat(zombie.lease, {1, 10, "x"}).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().complete(zombie.lease, completion(zombie)).error().code,
              ErrorCode::kConflict);
}

TEST_P(JobStoreConformance, ATraceIdStaysWithItsJobToTheNotice) {
    NewJob wanted = export_of("acme");
    wanted.trace_id = "4bf92f3577b34da6a3ce929d0e0e4736";
    const std::string id = store_->requests().create(wanted)->job.job_id;
    EXPECT_EQ(claim().trace_id, wanted.trace_id);
    EXPECT_EQ(die_and_rescue(), 1U);
    const ClaimedJob job = claim();
    EXPECT_EQ(job.trace_id, wanted.trace_id);
    ASSERT_TRUE(store_->queue().give_up_attempt(job.lease, "no use", true, 0));
    EXPECT_EQ(store_->requests().retry(OrganizationScope::every(), id, "me")->trace_id,
              wanted.trace_id);
    ASSERT_TRUE(finish(claim()));
    const auto events = store_->reader().events(OrganizationScope::every(), id, 0);
    EXPECT_TRUE(std::ranges::all_of(events->items, [&](const model::JobEvent& event) {
        return event.trace_id == wanted.trace_id;
    }));
    const auto notices = store_->outbox().unpublished_notices();
    ASSERT_EQ(notices->size(), 2U);  // Failed, then completed.
    for (const model::Notice& notice : *notices)
        EXPECT_EQ(model::trace_id_of(model::to_json(notice)), wanted.trace_id);
}

TEST_P(JobStoreConformance, AJobWithoutATraceSaysSo) {
    submit();
    ASSERT_TRUE(finish(claim()));
    const auto notices = store_->outbox().unpublished_notices();
    ASSERT_EQ(notices->size(), 1U);
    const nlohmann::json notice = model::to_json(notices->front());
    EXPECT_TRUE(notice["job"]["trace_id"].is_null());
    EXPECT_EQ(model::trace_id_of(notice), "");
}

TEST_P(JobStoreConformance, TwoFinishersOneWins) {
    submit();
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    EXPECT_EQ(store_->queue().complete(job.lease, completion(job)).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().give_up_attempt(job.lease, "x", true, 0).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(find(job.lease.job_id).status, JobStatus::kCompleted);
}

TEST_P(JobStoreConformance, CompletingWithoutAnnouncingTheFileIsRefused) {
    submit();
    const ClaimedJob job = claim();
    EXPECT_FALSE(store_->queue().complete(job.lease, completion(job)));
    EXPECT_EQ(find(job.lease.job_id).status, JobStatus::kInProgress);
}

TEST_P(JobStoreConformance, AttemptsAreUsedUpWithADelayBetween) {
    const auto id = submit().job_id;
    for (int attempt = 1; attempt <= policy_.attempts_max; ++attempt) {
        const ClaimedJob job = claim();
        EXPECT_EQ(job.attempt, attempt);
        ASSERT_TRUE(store_->queue().give_up_attempt(job.lease, "disk full", false, 2'000'000));
        EXPECT_FALSE((*store_->queue().claim()).has_value());  // Not due yet.
        clock_.advance(std::chrono::seconds(3));
    }
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
    EXPECT_EQ(find(id).error_message, "disk full");
    ASSERT_TRUE(store_->requests().retry(OrganizationScope::every(), id, "me"));
    EXPECT_EQ(claim().attempt, 1);
}

TEST_P(JobStoreConformance, APermanentErrorFailsAtOnce) {
    const auto id = submit().job_id;
    ASSERT_TRUE(store_->queue().give_up_attempt(claim().lease, "no such column", true, 0));
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
}

TEST_P(JobStoreConformance, ReleaseAndRescueGiveTheAttemptBack) {
    submit();
    ASSERT_TRUE(store_->queue().release(claim().lease));
    EXPECT_EQ(claim().attempt, 1);
    EXPECT_EQ(die_and_rescue(), 1U);
    EXPECT_EQ(claim().attempt, 1);
}

TEST_P(JobStoreConformance, AJobThatKeepsKillingTheDaemonFails) {
    const auto id = submit().job_id;
    for (int death = 0; death < limits::kJobCrashesMax; ++death) {
        claim();
        EXPECT_EQ(die_and_rescue(), 1U);
    }
    EXPECT_EQ(find(id).status, JobStatus::kFailed);
}

TEST_P(JobStoreConformance, CancelBeforeDuringAndAfter) {
    const auto pending = submit().job_id;
    EXPECT_EQ(store_->requests().request_cancel(OrganizationScope::every(), pending, "me")->status,
              JobStatus::kCancelled);

    submit();
    const ClaimedJob running = claim();
    EXPECT_EQ(store_->requests()
                  .request_cancel(OrganizationScope::every(), running.lease.job_id, "me")
                  ->status,
              JobStatus::kInProgress);
    EXPECT_TRUE(*store_->queue().heartbeat(running.lease, {1, 10, "reading"}));
    ASSERT_TRUE(store_->queue().intend_file(running.lease, completion(running).file.key));
    EXPECT_EQ(store_->queue().complete(running.lease, completion(running)).error().code,
              ErrorCode::kCancelled);
    ASSERT_TRUE(store_->queue().cancelled(running.lease));
    EXPECT_EQ(find(running.lease.job_id).status, JobStatus::kCancelled);

    submit();
    const ClaimedJob finished = claim();
    ASSERT_TRUE(finish(finished));
    const auto late =
        store_->requests().request_cancel(OrganizationScope::every(), finished.lease.job_id, "me");
    EXPECT_EQ(late.error().code, ErrorCode::kConflict);
    EXPECT_NE(late.error().message.find("already completed"), std::string::npos);
}

TEST_P(JobStoreConformance, ADeadOwnersCancelledJobIsCancelled) {
    const auto id = submit().job_id;
    claim();
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    EXPECT_EQ(die_and_rescue(), 1U);
    EXPECT_EQ(find(id).status, JobStatus::kCancelled);
}

TEST_P(JobStoreConformance, UnpublishedFilesAreKnownUntilForgotten) {
    submit();
    const ClaimedJob job = claim();
    ASSERT_TRUE(store_->queue().intend_file(job.lease, "acme/orphan.csv"));
    EXPECT_TRUE(store_->files().unpublished_files()->empty());  // Its attempt still runs.
    ASSERT_TRUE(store_->queue().release(job.lease));
    const auto files = store_->files().unpublished_files();
    ASSERT_EQ(files->size(), 1U);
    EXPECT_EQ((*files)[0].key, "acme/orphan.csv");
    EXPECT_FALSE(*store_->files().is_orphan("acme/orphan.csv", job.lease.job_id));
    ASSERT_TRUE(store_->files().forget_file("acme/orphan.csv"));
    EXPECT_TRUE(store_->files().unpublished_files()->empty());
    EXPECT_TRUE(*store_->files().is_orphan("acme/orphan.csv", job.lease.job_id));
    EXPECT_FALSE(*store_->files().is_orphan("acme/orphan.csv", "no-such-job"));
    const ClaimedJob again = claim();
    ASSERT_TRUE(finish(again));
    EXPECT_FALSE(*store_->files().is_orphan(completion(again).file.key, again.lease.job_id));
    ASSERT_TRUE(store_->files().forget_file(completion(again).file.key));  // Live: not forgotten.
    ASSERT_EQ(store_->files().published_files("")->size(), 1U);
    EXPECT_EQ((*store_->files().published_files(""))[0].key, completion(again).file.key);
    EXPECT_FALSE(*store_->files().is_orphan(completion(again).file.key, again.lease.job_id));
    model::JobFile file;
    ASSERT_TRUE(store_->reader().find_file(OrganizationScope::one("acme"), job.lease.job_id, file));
    EXPECT_EQ(file.status, "completed");
    EXPECT_EQ(file.filename, "products.csv");
}

TEST_P(JobStoreConformance, ManyClaimersNeverShareAJob) {
    for (int index = 0; index < 40; ++index) submit();
    std::mutex mutex;
    std::vector<std::string> seen;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; ++thread) {
        threads.emplace_back([&] {
            for (;;) {
                auto job = store_->queue().claim();
                if (!job || !job->has_value()) return;
                const std::lock_guard lock(mutex);
                seen.push_back((*job)->lease.job_id);
            }
        });
    }
    for (auto& thread : threads) thread.join();
    std::ranges::sort(seen);
    EXPECT_EQ(seen.size(), 40U);
    EXPECT_EQ(std::ranges::adjacent_find(seen), seen.end());
}

TEST_P(JobStoreConformance, ListsNewestFirstWithFilterAndTotal) {
    const auto first = submit().job_id;
    clock_.advance(std::chrono::seconds(1));
    const auto second = submit().job_id;
    submit("umbrella");
    const auto page = store_->reader().list(
        OrganizationScope::one("acme"),
        {.status = JobStatus::kPending, .job_type = "", .limit = 1, .offset = 0});
    ASSERT_TRUE(page);
    EXPECT_EQ(page->total, 2);
    ASSERT_EQ(page->jobs.size(), 1U);
    EXPECT_EQ(page->jobs[0].job_id, second);
    EXPECT_EQ(store_->reader()
                  .list(OrganizationScope::one("acme"),
                        {.status = {}, .job_type = "", .limit = 1, .offset = 1})
                  ->jobs[0]
                  .job_id,
              first);
    EXPECT_EQ(store_->reader()
                  .list(OrganizationScope::one("acme"),
                        {.status = {}, .job_type = "crawl", .limit = 5, .offset = 0})
                  ->total,
              0);
}

TEST_P(JobStoreConformance, AForeignWorkerReportsItsFile) {
    const auto id = create_external().job_id;
    EXPECT_FALSE((*store_->queue().claim()).has_value());  // Not ours to run.
    ProgressReport started;
    started.mark_started = true;
    started.processed_items = 3;
    started.stage = "upload";
    EXPECT_EQ(store_->requests().report(OrganizationScope::one("acme"), id, started, "me")->status,
              JobStatus::kInProgress);
    ProgressReport warned;
    warned.warning =
        model::JobEntry{"sku-1", "product", "truncated", "too long", R"({"max": 5})", "write", 0};
    EXPECT_EQ(
        store_->requests().report(OrganizationScope::one("acme"), id, warned, "me")->warned_items,
        1);
    EXPECT_EQ(find(id).warnings.size(), 1U);
    ProgressReport done;
    done.mark_completed = true;
    done.metadata_patch_json = R"({"file_url": "s3://bucket/acme/x.csv", "filename": "x.csv"})";
    EXPECT_EQ(store_->requests().report(OrganizationScope::one("acme"), id, done, "me")->status,
              JobStatus::kCompletedWithWarnings);
    model::JobFile file;
    ASSERT_TRUE(store_->reader().find_file(OrganizationScope::one("acme"), id, file));
    EXPECT_EQ(file.file_url, "s3://bucket/acme/x.csv");
    EXPECT_EQ(
        store_->requests().report(OrganizationScope::one("acme"), id, started, "me").error().code,
        ErrorCode::kConflict);
    EXPECT_EQ(die_and_rescue(), 0U);
}

// Its file goes when it expires; links of another job to it would go on.
TEST_P(JobStoreConformance, AWorkersJobMayNotNameTheFileOfAnExport) {
    const auto owner = submit().job_id;
    ASSERT_TRUE(finish(claim()));
    const auto patch = [](const std::string& file_url) {
        return R"({"file_url": ")" + file_url + "\"}";
    };
    const std::string file = owner + ".1-0a1b2c3d.csv";
    for (const std::string& file_url :
         {"s3://bucket/acme/" + file, "file:///srv/exports/acme/" + file,
          "https://h/bucket/acme%2F" + owner + "%2E1-0a1b2c3d.csv"}) {
        ProgressReport done;
        done.mark_completed = true;
        done.metadata_patch_json = patch(file_url);
        const auto id = create_external().job_id;
        const auto reported = store_->requests().report(OrganizationScope::every(), id, done, "w");
        ASSERT_FALSE(reported) << file_url;
        EXPECT_EQ(reported.error().code, ErrorCode::kInvalidArgument);
        EXPECT_NE(reported.error().message.find("found the one of export " + owner),
                  std::string::npos)
            << reported.error().message;
        EXPECT_EQ(find(id).status, JobStatus::kPending);
        NewJob job = export_of("acme");
        job.runner = JobRunner::kExternal;
        job.metadata_json = patch(file_url);
        EXPECT_EQ(store_->requests().create(job).error().code, ErrorCode::kInvalidArgument);
        job.organization_id = "other";  // Which has no such export, and gets no link to it.
        EXPECT_TRUE(store_->requests().create(job));
    }
    ProgressReport own;
    own.mark_completed = true;
    const auto id = create_external().job_id;
    own.metadata_patch_json = patch("s3://bucket/acme/" + id + ".1-0a1b2c3d.csv");
    EXPECT_TRUE(store_->requests().report(OrganizationScope::every(), id, own, "w"));
}

TEST_P(JobStoreConformance, MetadataIsMergedByOneRule) {
    const auto id = submit().job_id;
    const ClaimedJob job = claim();
    Completion done = completion(job);
    done.metadata_json = R"({"rows": 7, "nothing": null, "nested": {"a": 1, "b": null}})";
    ASSERT_TRUE(store_->queue().intend_file(job.lease, done.file.key));
    ASSERT_TRUE(store_->queue().complete(job.lease, done));
    nlohmann::json expected = {{"rows", 7},
                               {"nested", {{"a", 1}}},
                               {"file_url", done.file.file_url},
                               {"filename", done.filename}};
    EXPECT_EQ(parse_json(find(id).metadata_json), expected);
    ASSERT_TRUE(store_->files().withdraw_file(done.file.key, "gone"));
    expected.erase("file_url");
    EXPECT_EQ(parse_json(find(id).metadata_json), expected);
}

TEST_P(JobStoreConformance, ReportsThatContradictThemselvesAreRefused) {
    const auto id = create_external().job_id;
    ProgressReport both;
    both.mark_completed = true;
    both.mark_failed = "no";
    EXPECT_EQ(store_->requests().report(OrganizationScope::every(), id, both, "me").error().code,
              ErrorCode::kInvalidArgument);
    ProgressReport huge;
    huge.metadata_patch_json =
        R"({"x": ")" + std::string(limits::kJobMetadataBytesMax, 'x') + "\"}";
    EXPECT_EQ(store_->requests().report(OrganizationScope::every(), id, huge, "me").error().code,
              ErrorCode::kInvalidArgument);
    EXPECT_EQ(store_->requests()
                  .report(OrganizationScope::every(), submit().job_id, {}, "me")
                  .error()
                  .code,
              ErrorCode::kConflict);
}

TEST_P(JobStoreConformance, MetadataIsAnObject) {
    for (const auto& [text, found] : std::initializer_list<std::pair<const char*, std::string>>{
             {"[]", "a list"}, {"{", "no JSON"}, {"\"x\"", "text"}, {"", "no JSON"}}) {
        NewJob job = export_of("acme");
        job.metadata_json = text;
        const auto refused = store_->requests().create(job);
        ASSERT_FALSE(refused) << text;
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
        EXPECT_EQ(refused.error().message, "metadata: expected an object, found " + found);
    }
}

TEST_P(JobStoreConformance, AFilesUrlIsBounded) {
    const auto id = create_external().job_id;
    const auto with_url = [&](std::size_t bytes) {
        ProgressReport report;
        report.metadata_patch_json = R"({"file_url": "s3://)" + std::string(bytes - 5, 'x') + "\"}";
        return store_->requests().report(OrganizationScope::every(), id, report, "me");
    };
    EXPECT_TRUE(with_url(2'048));
    const auto refused = with_url(2'049);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "metadata.file_url: expected at most 2048 bytes, found 2049");
}

TEST_P(JobStoreConformance, KeepsABoundedNumberOfEntries) {
    const auto id = create_external().job_id;
    ProgressReport bad;
    bad.error = model::JobEntry{"k", "job", "t", "m", "", "", 0};
    for (std::size_t index = 0; index < limits::kJobErrorsMax + 5; ++index)
        ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, bad, "me"));
    EXPECT_EQ(find(id).errors.size(), limits::kJobErrorsMax);
    EXPECT_EQ(find(id).failed_items, static_cast<std::int64_t>(limits::kJobErrorsMax + 5));
}

TEST_P(JobStoreConformance, CountsByStatus) {
    submit();
    submit();
    claim();
    const auto counts = store_->reader().counts();
    EXPECT_EQ(counts->pending, 1);
    EXPECT_EQ(counts->in_progress, 1);
}

TEST_P(JobStoreConformance, OnlyJobsOfOtherInstancesAreRescued) {
    submit();
    claim();
    EXPECT_EQ(*store_->queue().rescue(), 0U);  // Ours, and we live.
    EXPECT_EQ(die_and_rescue(), 1U);           // The same process id, another instance.
    EXPECT_EQ(*store_->queue().rescue(), 0U);
}

// River's rescuer once overwrote a job that had completed after the rescuer had read it.
TEST_P(JobStoreConformance, ARescueDoesNotReopenWhatHasCompleted) {
    const auto id = submit().job_id;
    const ClaimedJob job = claim();
    ASSERT_TRUE(finish(job));
    EXPECT_EQ(die_and_rescue(), 0U);
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    ASSERT_FALSE((*store_->queue().claim()).has_value());
}

TEST_P(JobStoreConformance, ALateHeartbeatDoesNotStealTheJobBack) {
    submit();
    const ClaimedJob zombie = claim();
    ASSERT_TRUE(store_->queue().give_up_attempt(zombie.lease, "no progress", false, 0));
    const ClaimedJob current = claim();
    EXPECT_EQ(store_->queue().heartbeat(zombie.lease, {9, 10, "x"}).error().code,
              ErrorCode::kConflict);
    EXPECT_FALSE(*store_->queue().heartbeat(current.lease, {1, 10, "x"}));
    EXPECT_EQ(find(current.lease.job_id).processed_items, 1);
    EXPECT_EQ(store_->reader().counts()->fenced, 1);
}

}  // namespace export_worker::jobs
