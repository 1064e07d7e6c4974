// What only a database that several daemons share can do, or do wrong: SQLite's file belongs to one
// process.
#include "daemon/jobs/postgres/postgres_job_store.hpp"

#include <algorithm>
#include <atomic>
#include <map>
#include <mutex>
#include <set>
#include <thread>

#include "base/in_memory_error.hpp"
#include "daemon/jobs/limits.hpp"
#include "tests/unit/daemon/jobs/postgres/postgres_store_under_test.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/postgres_proxy.hpp"

namespace export_worker::jobs {

using std::chrono::hours;
using std::chrono::seconds;

class PostgresJobStoreSuite : public JobStoreConformance {
protected:
    void SetUp() override {
        JobStoreConformance::SetUp();
        if (IsSkipped()) return;
        std::string why_not;
        server_ = testing::PostgresServer::get(why_not);
        options_.database = *testing::PostgresSchemas::find(dir_.path(), clock_);
    }
    // Another daemon with the same database.
    std::unique_ptr<JobStore> open_through(const testing::PostgresProxy& proxy) {
        PostgresStoreOptions options = options_;
        options.database = proxy.through(options.database);
        return JoinedJobStore::open(options, clock_, policy_);
    }
    std::unique_ptr<postgres::Connection> connect() {
        auto connection = postgres::Connection::open(options_.database.connect);
        EXPECT_TRUE(connection) << connection.error().message;
        return std::move(*connection);
    }
    std::int64_t number(const char* sql) {
        const auto rows = connect()->query(sql);
        EXPECT_TRUE(rows) << rows.error().message;
        return rows->front().integer(0);
    }
    // Does a statement that begins like this wait for a lock of another?
    bool waits_for_lock(const std::string& begin) {
        return testing::eventually([&] {
            const auto rows = connect()->query(
                "SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE $1",
                begin + "%");
            return rows && !rows->empty();
        });
    }
    static Result<void> finish_on(JobStore& store, const ClaimedJob& job, Completion done) {
        done.file.key += "-" + job.lease.claim_token;
        EW_CHECK(store.queue().intend_file(job.lease, done.file.key));
        return store.queue().complete(job.lease, done);
    }

    // A finished job whose file is in the memory of `store`; its key.
    model::FileKey keep_file(JobStore& store, std::string& job_id) {
        job_id = submit().job_id;
        const ClaimedJob job = claim();
        EXPECT_TRUE(finish(job));
        EXPECT_NE(url_of(store, job_id), "");
        // Behind its back, and told nobody: who says "products.csv" has it from memory.
        EXPECT_TRUE(
            connect()->change("UPDATE job SET filename = 'changed' WHERE job_id = $1", job_id));
        const std::string id = job_id;
        EXPECT_TRUE(testing::eventually([&] { return is_in_memory(store, id); }));
        return completion(job).file.key;
    }
    static model::JobFile file_of(JobStore& store, const std::string& job_id) {
        model::JobFile file;
        const auto found = store.reader().find_file(OrganizationScope::every(), job_id, file);
        EXPECT_TRUE(found) << found.error().message;
        return file;
    }
    static std::string url_of(JobStore& store, const std::string& job_id) {
        return file_of(store, job_id).file_url;
    }
    static bool is_in_memory(JobStore& store, const std::string& job_id) {
        return file_of(store, job_id).filename == "products.csv";
    }

    testing::PostgresServer* server_ = nullptr;
    PostgresStoreOptions options_;
};

INSTANTIATE_TEST_SUITE_P(Postgres, PostgresJobStoreSuite, ::testing::Values(postgres_store()));

TEST_P(PostgresJobStoreSuite, EveryDaemonAnswersForEveryJob) {
    const auto other = open();
    const auto id = submit().job_id;
    const auto job = other->queue().claim();
    ASSERT_TRUE(job && job->has_value());
    EXPECT_EQ((*job)->lease.job_id, id);
    EXPECT_EQ(find(id).status, JobStatus::kInProgress);
    EXPECT_EQ(store_->queue().heartbeat((*job)->lease, {1, 10, "x"}).error().code,
              ErrorCode::kConflict)
        << "another daemon's lease, whatever its epoch";
    EXPECT_EQ(store_->queue().intend_file((*job)->lease, "k").error().code, ErrorCode::kConflict);
    EXPECT_EQ(store_->queue().release((*job)->lease).error().code, ErrorCode::kConflict);
    ASSERT_TRUE(store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    EXPECT_TRUE(*other->queue().heartbeat((*job)->lease, {1, 10, "x"}));
    ASSERT_TRUE(other->queue().cancelled((*job)->lease));
    EXPECT_EQ(find(id).status, JobStatus::kCancelled);
    EXPECT_EQ(other->reader().registry_id(), store_->reader().registry_id());
    EXPECT_EQ(other->reader().counts()->cancelled, 1);
}

TEST_P(PostgresJobStoreSuite, ADaemonOwnsItsOwnJobsOnly) {
    const auto other = open();
    submit();
    submit();
    const ClaimedJob mine = claim();
    const auto others = other->queue().claim();
    ASSERT_TRUE(others && others->has_value());
    EXPECT_EQ(*store_->queue().owned_jobs(), std::vector{mine.lease});
    EXPECT_EQ(*other->queue().owned_jobs(), std::vector{(*others)->lease});
}

TEST_P(PostgresJobStoreSuite, JobsOfADaemonThatLivesAreNotRescued) {
    const auto other = open();
    submit();
    ASSERT_TRUE(other->queue().claim()->has_value());
    EXPECT_EQ(*store_->queue().rescue(), 0U);
    EXPECT_EQ(number("SELECT count(*) FROM instance"), 2);
}

TEST_P(PostgresJobStoreSuite, JobsOfADaemonThatIsSilentRunElsewhereAndItsWritesAreRefused) {
    testing::PostgresProxy proxy(*server_);
    const auto silent = open_through(proxy);
    const auto id = submit().job_id;
    const ClaimedJob zombie = **silent->queue().claim();
    ASSERT_TRUE(silent->queue().intend_file(zombie.lease, completion(zombie).file.key));
    proxy.stop(true);
    EXPECT_EQ(*store_->queue().rescue(), 0U) << "its lease is good";
    clock_.advance(limits::kLeaseLengthDefault);
    EXPECT_EQ(*store_->queue().rescue(), 1U);
    const ClaimedJob current = claim();
    EXPECT_EQ(current.lease.job_id, id);
    EXPECT_EQ(current.attempt, 1) << "the attempt was given back";
    proxy.stop(false);
    EXPECT_EQ(silent->queue().complete(zombie.lease, completion(zombie)).error().code,
              ErrorCode::kConflict);
    ASSERT_TRUE(finish_on(*store_, current, completion(current)));
    EXPECT_EQ(store_->files().unpublished_files()->at(0).key, completion(zombie).file.key);
    // It enters anew, and works on.
    submit();
    EXPECT_TRUE(testing::eventually([&] {
        const auto next = silent->queue().claim();
        return next && next->has_value();
    }));
}

// As after a failover to a standby that lacked the newest commits: the job is claimed again, under
// the epoch of before.
TEST_P(PostgresJobStoreSuite, AnAttemptWhoseEpochWasGivenAgainWritesNothing) {
    const auto id = submit().job_id;
    const ClaimedJob lost = claim();
    ASSERT_TRUE(store_->queue().intend_file(lost.lease, completion(lost).file.key));
    ASSERT_TRUE(connect()->execute(
        "UPDATE job SET status = 'pending', epoch = 0, attempt = 0, owner = NULL, claim_token = "
        "NULL"));
    const ClaimedJob current = claim();
    ASSERT_EQ(current.lease.job_id, id);
    ASSERT_EQ(current.lease.epoch, lost.lease.epoch);
    JobQueue& queue = store_->queue();
    for (const jobs::Run run : {jobs::Run::kFirst, jobs::Run::kAgain}) {
        EXPECT_EQ(queue.intend_file(lost.lease, "k", run).error().code, ErrorCode::kConflict);
        EXPECT_EQ(queue.complete(lost.lease, completion(lost), run).error().code,
                  ErrorCode::kConflict);
        EXPECT_EQ(queue.give_up_attempt(lost.lease, "x", true, 0, run).error().code,
                  ErrorCode::kConflict);
        EXPECT_EQ(queue.release(lost.lease, run).error().code, ErrorCode::kConflict);
        EXPECT_EQ(queue.cancelled(lost.lease, run).error().code, ErrorCode::kConflict);
    }
    EXPECT_EQ(queue.heartbeat(lost.lease, {9, 10, "x"}).error().code, ErrorCode::kConflict);
    EXPECT_EQ(store_->files().unpublished_files()->at(0).key, completion(lost).file.key)
        << "the sweep may have it at once";
    EXPECT_EQ(find(id).status, JobStatus::kInProgress);
    ASSERT_TRUE(finish_on(*store_, current, completion(current)));
    EXPECT_EQ(queue.complete(lost.lease, completion(lost), jobs::Run::kAgain).error().code,
              ErrorCode::kConflict);
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
}

// The hole of solid_queue#244: a claim that is on its way when its daemon is declared dead.
TEST_P(PostgresJobStoreSuite, AClaimOnItsWayKeepsTheRowOfItsDaemon) {
    submit();
    const auto late = connect();
    ASSERT_TRUE(late->change(
        "INSERT INTO instance VALUES ('late', '', '', now(), '-infinity', '-infinity')"));
    ASSERT_TRUE(late->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(
        late->change("UPDATE job SET status = 'in_progress', epoch = 1, attempt = 1, owner "
                     "= 'late', claim_token = 't'"));
    ASSERT_TRUE(late->change("UPDATE organization SET running = 1"));
    std::jthread rescuer([&] { EXPECT_EQ(*store_->queue().rescue(), 0U) << "not committed yet"; });
    EXPECT_TRUE(waits_for_lock("DELETE FROM instance"));
    ASSERT_TRUE(late->commit());
    rescuer.join();
    EXPECT_EQ(number("SELECT count(*) FROM job JOIN instance ON owner = instance_id"), 1)
        << "no job in progress has an owner that does not exist";
    EXPECT_EQ(*store_->queue().rescue(), 1U);
    EXPECT_EQ(number("SELECT count(*) FROM instance"), 1);
}

TEST_P(PostgresJobStoreSuite, EightThreadsOfTwoDaemonsClaimEveryJobOnceAndKeepTheLimits) {
    constexpr int kOrganizations = 10;
    constexpr int kJobs = 12;  // Of each.
    policy_.organization_running_max = 2;
    reopen();
    const auto other = open();
    for (int job = 0; job < kJobs; ++job) {
        for (int organization = 0; organization < kOrganizations; ++organization)
            submit("o" + std::to_string(organization));
    }
    std::mutex mutex;
    std::map<std::string, int> running;
    std::set<std::string> seen;
    // Takes some, more together than may run, and then ends them.
    const auto work = [&](JobStore& store) {
        for (bool all = false; !all;) {
            std::vector<ClaimedJob> mine;
            while (mine.size() < 4) {
                auto job = store.queue().claim();
                ASSERT_TRUE(job) << job.error().message;
                if (!job->has_value()) break;
                mine.push_back(std::move(**job));
                const std::lock_guard lock(mutex);
                EXPECT_TRUE(seen.insert(mine.back().lease.job_id).second);
                EXPECT_LE(++running[mine.back().organization_id], 2);
            }
            for (const ClaimedJob& job : mine) {
                {
                    // Before the end: from then on another may start.
                    const std::lock_guard lock(mutex);
                    --running[job.organization_id];
                }
                ASSERT_TRUE(finish_on(store, job, completion(job)));
            }
            const std::lock_guard lock(mutex);
            all = seen.size() == kOrganizations * kJobs;
        }
    };
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 8; ++thread)
        threads.emplace_back([&, thread] { work(thread % 2 == 0 ? *store_ : *other); });
    for (auto& thread : threads) thread.join();
    EXPECT_EQ(store_->reader().counts()->completed, kOrganizations * kJobs);
    EXPECT_EQ(number("SELECT count(*) FROM organization WHERE running <> 0"), 0);
}

// A claim that finds no job raises next_due of its organization: not before those have ended who
// make one of its jobs wait.
TEST_P(PostgresJobStoreSuite, AClaimThatFindsNothingWaitsForASubmissionOnItsWay) {
    submit();
    const ClaimedJob first = claim();
    const auto submission = connect();
    ASSERT_TRUE(submission->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(submission->change(
        "INSERT INTO job (job_id, organization_id, job_type, runner, status, due_at, spec, "
        "metadata, total_items, created_at, priority, attempts_max) SELECT 'on its way', "
        "organization_id, job_type, runner, 'pending', due_at, spec, metadata, total_items, "
        "created_at, priority, attempts_max FROM job"));
    std::jthread claimer([&] {
        EXPECT_EQ(claim().lease.job_id, "on its way");
        EXPECT_FALSE(*store_->queue().claim());
    });
    EXPECT_TRUE(waits_for_lock("SELECT 1 FROM organization"));
    ASSERT_TRUE(submission->commit());
    claimer.join();
    ASSERT_TRUE(finish(first));
}

// The other way round: a submission finds next_due raised while it waits for its organization.
TEST_P(PostgresJobStoreSuite, ASubmissionWaitsForAClaimThatFindsNothing) {
    submit();
    claim();
    const auto emptying = connect();
    ASSERT_TRUE(emptying->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(emptying->change("SELECT 1 FROM organization FOR UPDATE"));
    ASSERT_TRUE(emptying->change("UPDATE organization SET next_due = NULL"));
    std::jthread submitter([&] { submit(); });
    EXPECT_TRUE(waits_for_lock("WITH made AS"));
    ASSERT_TRUE(emptying->commit());
    submitter.join();
    claim();
}

// All of that many times, as it comes.
TEST_P(PostgresJobStoreSuite, NoJobIsForgottenWhenItsOrganizationRunsOutOfWork) {
    constexpr int kJobs = 60;
    const auto other = open();
    std::atomic<int> claimed{0};
    std::atomic<bool> submitted{false};
    std::jthread claimer([&] {
        int idle = 0;  // Claims in a row that found nothing, after the last submission.
        while (idle < 3) {
            const bool all = submitted;
            const auto job = other->queue().claim();
            ASSERT_TRUE(job) << job.error().message;
            if (job->has_value()) {
                ++claimed;
                idle = 0;
                ASSERT_TRUE(finish_on(*other, **job, completion(**job)));
            } else if (all) {
                ++idle;
            }
        }
    });
    std::vector<std::thread> submitters;
    for (int thread = 0; thread < 3; ++thread) {
        submitters.emplace_back([&] {
            for (int job = 0; job < kJobs / 3; ++job) submit();
        });
    }
    for (auto& submitter : submitters) submitter.join();
    submitted = true;
    claimer.join();
    EXPECT_EQ(claimed, kJobs);
}

// Groups of submissions of two daemons lock the same organizations, and run into claims that empty
// them.
TEST_P(PostgresJobStoreSuite, TwoDaemonsSubmitToTheSameOrganizationsTogether) {
    constexpr int kThreads = 4;
    constexpr int kRounds = 10;
    constexpr int kOrganizations = 8;
    const auto other = open();
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            JobStore& store = thread % 2 == 0 ? *store_ : *other;
            for (int round = 0; round < kRounds; ++round) {
                std::vector<Pending<CreatedJob>> pending;
                for (int number = 0; number < kOrganizations; ++number) {
                    // Each in another order.
                    NewJob job = export_of("o" + std::to_string((number * (2 * thread + 1)) % 8));
                    if (number % 3 == 0) job.start_unix_us = clock_.unix_us() + us_of_days(1);
                    pending.push_back(*store.requests().begin_create(job));
                }
                for (const auto& each : pending) {
                    const auto created = each();
                    ASSERT_TRUE(created) << created.error().message;
                }
            }
        });
    }
    std::atomic<bool> submitted{false};
    std::jthread claimer([&] {
        for (bool last = false; !last;) {
            last = submitted;
            for (auto job = store_->queue().claim(); job && job->has_value();
                 job = store_->queue().claim())
                ASSERT_TRUE(finish_on(*store_, **job, completion(**job)));
        }
    });
    for (auto& thread : threads) thread.join();
    submitted = true;
    claimer.join();
    const JobCounts counts = *store_->reader().counts();
    EXPECT_EQ(counts.completed + counts.pending, kThreads * kRounds * kOrganizations);
    EXPECT_EQ(counts.completed, number("SELECT count(*) FROM job WHERE start_at IS NULL"));
}

TEST_P(PostgresJobStoreSuite, TurnsFollowWeightsOverAllDaemons) {
    const auto other = open();
    ASSERT_TRUE(store_->organizations().set_organization({"heavy", 100, 3, false}));
    for (int job = 0; job < 40; ++job) {
        submit("heavy");
        submit("light");
    }
    std::map<std::string, int> started;
    for (int turn = 0; turn < 40; ++turn) {
        JobStore& store = turn % 2 == 0 ? *store_ : *other;
        const auto job = store.queue().claim();
        ASSERT_TRUE(job && job->has_value());
        ++started[(*job)->organization_id];
    }
    EXPECT_NEAR(started["heavy"], 30, 2);
}

TEST_P(PostgresJobStoreSuite, ACommitWhoseAnswerIsLostOnTheWayHappensOnce) {
    testing::PostgresProxy proxy(*server_);
    const auto store = open_through(proxy);
    proxy.swallow_commit_answers(1);
    const auto created = store->requests().create(export_of("acme"));
    ASSERT_TRUE(created) << created.error().message;
    const std::string& id = created->job.job_id;
    proxy.swallow_commit_answers(1);
    const auto claimed = store->queue().claim();
    ASSERT_TRUE(claimed && claimed->has_value());
    EXPECT_EQ((*claimed)->lease.job_id, id);
    EXPECT_EQ((*claimed)->lease.epoch, 1);
    const Completion done = completion(**claimed);
    proxy.swallow_commit_answers(1);
    ASSERT_TRUE(store->queue().intend_file((*claimed)->lease, done.file.key));
    proxy.swallow_commit_answers(1);
    const auto completed = store->queue().complete((*claimed)->lease, done);
    ASSERT_TRUE(completed) << completed.error().message;
    EXPECT_EQ(kinds(id), (std::vector<std::string>{"submitted", "claimed", "published"}));
    EXPECT_EQ(store_->reader().counts()->completed, 1);
    EXPECT_EQ(store_->files().published_files("")->at(0).key, done.file.key);
    EXPECT_EQ(store_->outbox().unpublished_notices()->size(), 1U);
}

TEST_P(PostgresJobStoreSuite, ACommitThatDidNotArriveHappensOnceToo) {
    testing::PostgresProxy proxy(*server_);
    const auto store = open_through(proxy);
    proxy.cut_before_commits(1);
    ASSERT_TRUE(store->requests().create(export_of("acme")));
    EXPECT_EQ(store_->reader().list(OrganizationScope::every(), {})->total, 1);
    proxy.cut_before_commits(1);
    const auto claimed = store->queue().claim();
    ASSERT_TRUE(claimed && claimed->has_value());
    EXPECT_EQ((*claimed)->lease.epoch, 1);
    proxy.cut_before_commits(1);
    ASSERT_TRUE(store->queue().give_up_attempt((*claimed)->lease, "disk on fire", true, 0));
    EXPECT_EQ(find((*claimed)->lease.job_id).status, JobStatus::kFailed);
    EXPECT_EQ(store_->outbox().unpublished_notices()->size(), 1U);
}

TEST_P(PostgresJobStoreSuite, EveryDaemonPublishesEveryNotice) {
    const auto before = end_one("acme");
    const auto other = open();
    EXPECT_TRUE(other->outbox().unpublished_notices()->empty()) << "from the newest on";
    const auto after = end_one("acme");
    const auto fresh = *store_->outbox().unpublished_notices();
    ASSERT_EQ(fresh.size(), 2U);
    EXPECT_EQ(fresh[0].job_id, before);
    ASSERT_TRUE(store_->outbox().mark_published(fresh[1].sequence));
    EXPECT_TRUE(store_->outbox().unpublished_notices()->empty());
    const auto others = *other->outbox().unpublished_notices();
    ASSERT_EQ(others.size(), 1U) << "whatever another daemon has published";
    EXPECT_EQ(others[0].job_id, after);
    EXPECT_EQ(others[0].sequence, fresh[1].sequence);
}

// What a failover lost is numbered again, and published under the numbers of before.
TEST_P(PostgresJobStoreSuite, NumbersThatWentBackArePublishedAgain) {
    for (int count = 0; count < 3; ++count) end_one("acme");
    ASSERT_TRUE(
        store_->outbox().mark_published(store_->outbox().unpublished_notices()->back().sequence));
    ASSERT_TRUE(
        connect()->execute("DELETE FROM notice WHERE sequence > 1;"
                           "UPDATE notice_number SET last = 1"));
    EXPECT_TRUE(store_->outbox().unpublished_notices()->empty());
    end_one("acme");
    const auto fresh = *store_->outbox().unpublished_notices();
    ASSERT_EQ(fresh.size(), 1U);
    EXPECT_EQ(fresh[0].sequence, 2);
}

TEST_P(PostgresJobStoreSuite, AnotherDaemonDeliversWhatOneHasTakenAndNotEnded) {
    const auto other = open();
    end_one("acme");
    const auto taken = *other->outbox().take_due_notices(10);
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_TRUE(take_notices().empty());
    EXPECT_EQ(store_->outbox()
                  .mark_delivery(taken[0].sequence, Outbox::Delivery::kDone, "200", 0)
                  .error()
                  .code,
              ErrorCode::kConflict)
        << "the other has it";
    clock_.advance(limits::kDeliveryLease);
    const auto again = take_notices();
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].event_id, taken[0].event_id);
    EXPECT_EQ(other->outbox()
                  .mark_delivery(taken[0].sequence, Outbox::Delivery::kRetry, "late", 0)
                  .error()
                  .code,
              ErrorCode::kConflict);
    ASSERT_TRUE(
        store_->outbox().mark_delivery(again[0].sequence, Outbox::Delivery::kDone, "200", 0));
    EXPECT_EQ(store_->reader().counts()->notices_pending, 0);
    EXPECT_EQ(number("SELECT count(*) FROM delivery_turn"), 0);
}

TEST_P(PostgresJobStoreSuite, TwoDaemonsDeliverEachNoticeOnceAndInOrder) {
    constexpr int kOrganizations = 4;
    constexpr int kNotices = 10;  // Of each.
    const auto other = open();
    for (int notice = 0; notice < kNotices; ++notice) {
        for (int organization = 0; organization < kOrganizations; ++organization)
            end_one("o" + std::to_string(organization));
    }
    std::mutex mutex;
    std::set<std::string> busy;
    std::map<std::string, std::vector<std::int64_t>> delivered;
    std::atomic<int> left{kOrganizations * kNotices};
    const auto deliver = [&](JobStore& store) {
        while (left > 0) {
            const auto due = store.outbox().take_due_notices(2);
            ASSERT_TRUE(due) << due.error().message;
            for (const model::Notice& notice : *due) {
                {
                    const std::lock_guard lock(mutex);
                    EXPECT_TRUE(busy.insert(notice.organization_id).second) << "two at once";
                    delivered[notice.organization_id].push_back(notice.sequence);
                }
                {
                    // Before the end: from then on another may take the next one.
                    const std::lock_guard lock(mutex);
                    busy.erase(notice.organization_id);
                }
                ASSERT_TRUE(store.outbox().mark_delivery(notice.sequence, Outbox::Delivery::kDone,
                                                         "200", 0));
                --left;
            }
        }
    };
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 6; ++thread)
        threads.emplace_back([&, thread] { deliver(thread % 2 == 0 ? *store_ : *other); });
    for (auto& thread : threads) thread.join();
    for (const auto& [organization, sequences] : delivered) {
        EXPECT_EQ(sequences.size(), kNotices) << organization;
        EXPECT_TRUE(std::ranges::is_sorted(sequences)) << organization;
    }
    EXPECT_EQ(store_->reader().counts()->notices_pending, 0);
}

TEST_P(PostgresJobStoreSuite, NoticesAreNumberedByOneAtATime) {
    const auto cancel_one = [&] {
        EXPECT_TRUE(
            store_->requests().request_cancel(OrganizationScope::every(), submit().job_id, "me"));
    };
    cancel_one();
    const auto first = connect();
    ASSERT_TRUE(first->begin(postgres::Connection::Access::kReadWrite));
    ASSERT_TRUE(first->change("UPDATE notice_number SET last = 1"));
    ASSERT_TRUE(first->change("UPDATE notice SET sequence = 1"));
    cancel_one();
    std::jthread reader([&] {
        const auto page = store_->reader().notices(OrganizationScope::every(), 0);
        ASSERT_TRUE(page) << page.error().message;
        ASSERT_EQ(page->items.size(), 2U);
        EXPECT_EQ(page->items[0].sequence, 1);
        EXPECT_EQ(page->items[1].sequence, 2);
    });
    EXPECT_TRUE(waits_for_lock("SELECT last FROM notice_number"));
    ASSERT_TRUE(first->commit());
    reader.join();
}

// Commits overlap; a number that was read is followed by the next, and by none before it.
TEST_P(PostgresJobStoreSuite, NumbersOfNoticesHaveNoGapAndAppearInOrder) {
    constexpr int kThreads = 4;
    constexpr int kJobs = 15;  // Of each.
    std::vector<std::thread> writers;
    for (int thread = 0; thread < kThreads; ++thread) {
        writers.emplace_back([&] {
            for (int job = 0; job < kJobs; ++job) {
                const auto id = submit().job_id;
                EXPECT_TRUE(
                    store_->requests().request_cancel(OrganizationScope::every(), id, "me"));
            }
        });
    }
    const auto other = open();
    std::int64_t last = 0;
    EXPECT_TRUE(testing::eventually([&] {
        const auto page = other->reader().notices(OrganizationScope::every(), last);
        EXPECT_TRUE(page);
        for (const model::Notice& notice : page->items) EXPECT_EQ(notice.sequence, ++last);
        return last == kThreads * kJobs;
    }));
    for (auto& writer : writers) writer.join();
}

TEST_P(PostgresJobStoreSuite, ADaemonBehindAPoolerSharesTheRegistry) {
    PostgresStoreOptions options = options_;
    options.database.connect.pooler = postgres::Pooler::kTransaction;
    const auto pooled = JoinedJobStore::open(options, clock_, policy_);
    ASSERT_NE(pooled, nullptr);
    const auto created = pooled->requests().create(export_of("acme"));
    ASSERT_TRUE(created) << created.error().message;
    const auto job = pooled->queue().claim();
    ASSERT_TRUE(job && job->has_value());
    ASSERT_TRUE(finish_on(*pooled, **job, completion(**job)));
    EXPECT_EQ(find(created->job.job_id).status, JobStatus::kCompleted);
    EXPECT_EQ(pooled->reader().list(OrganizationScope::every(), {})->total, 1);
    EXPECT_EQ(pooled->outbox().unpublished_notices()->size(), 1U);
}

TEST_P(PostgresJobStoreSuite, ADaemonsOwnClockGetsIntoNoRow) {
    RegistryClock wrong;
    wrong.jump(hours(-7));
    const auto other = JoinedJobStore::open(options_, wrong, policy_);
    ASSERT_NE(other, nullptr);
    NewJob job = export_of("acme");
    job.deadline = seconds(60);
    const auto created = other->requests().create(job);
    ASSERT_TRUE(created);
    EXPECT_EQ(created->job.created_us, clock_.unix_us());
    EXPECT_EQ(created->job.deadline_us, clock_.unix_us() + 60'000'000);
    EXPECT_TRUE(other->queue().claim()->has_value());
    EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
}

TEST_P(PostgresJobStoreSuite, NumbersOfJobsAreTheSameBeforeAndAfterTheyAreAddedUp) {
    for (int count = 0; count < 5; ++count) submit(count % 2 == 0 ? "acme" : "umbrella");
    claim();
    const auto numbers = [&] {
        const JobCounts counts = *store_->reader().counts();
        return std::vector{counts.pending, counts.in_progress,
                           store_->reader().list(OrganizationScope::one("acme"), {})->total};
    };
    const auto before = numbers();
    EXPECT_EQ(before, (std::vector<std::int64_t>{4, 1, 3}));
    EXPECT_GT(number("SELECT count(*) FROM job_count_change"), 0);
    ASSERT_TRUE(store_->retention().enforce_limits());
    EXPECT_EQ(number("SELECT count(*) FROM job_count_change"), 0);
    EXPECT_EQ(numbers(), before);
}

TEST_P(PostgresJobStoreSuite, SilenceGoesOnWhileAnotherDaemonLives) {
    NewJob job = export_of("acme");
    job.runner = JobRunner::kExternal;
    job.silence_limit = seconds(5);
    const auto id = store_->requests().create(job)->job.job_id;
    ProgressReport started;
    started.mark_started = true;
    ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, started, "me"));
    clock_.advance(seconds(4));
    const auto other = open();
    ASSERT_TRUE(other->retention().restart_silence());
    clock_.advance(seconds(2));
    EXPECT_EQ(*other->retention().enforce_limits(), 1U);
}

TEST_P(PostgresJobStoreSuite, AHoldThatCannotBeWrittenHoldsUntilTheRestart) {
    submit("a");
    submit("b");
    const auto connection = connect();
    ASSERT_TRUE(connection->execute(
        "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE EXCEPTION 'no "
        "space left on device' USING ERRCODE = 'disk_full'; END$$;"
        "CREATE TRIGGER full_disk BEFORE INSERT OR UPDATE OF weight ON organization FOR EACH ROW "
        "EXECUTE FUNCTION refuse()"));
    const auto refused = store_->organizations().set_organization({"a", {}, 1, true});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
    EXPECT_TRUE(is_in_memory_error(refused.error())) << refused.error().message;
    EXPECT_NE(store_->problem().cause, "");
    EXPECT_TRUE(store_->organizations().organization("a")->policy.held);
    ASSERT_TRUE(connection->execute("DROP FUNCTION refuse CASCADE"));
    EXPECT_EQ(claim().organization_id, "b");
    EXPECT_FALSE(*store_->queue().claim());
    reopen();
    EXPECT_EQ(claim().organization_id, "a");
}

TEST_P(PostgresJobStoreSuite, AFileThatAnotherDaemonHasWithdrawnIsForgotten) {
    const auto other = open();
    std::string id;
    const model::FileKey key = keep_file(*store_, id);
    model::JobFile file;
    EXPECT_EQ(store_->reader().find_file(OrganizationScope::one("umbrella"), id, file).error().code,
              ErrorCode::kNotFound);
    ASSERT_TRUE(other->files().withdraw_file(key, "damaged"));
    EXPECT_NE(url_of(*store_, id), "") << "for a second at most";
    clock_.advance(limits::kFileChangesInterval);
    EXPECT_TRUE(testing::eventually([&] { return url_of(*store_, id).empty(); }));
}

TEST_P(PostgresJobStoreSuite, AFileThatHasExpiredIsForgotten) {
    std::string id;
    keep_file(*store_, id);
    clock_.advance(hours(2));
    EXPECT_EQ(*store_->retention().expire_files(hours(1)), 1U);
    clock_.advance(limits::kFileChangesInterval);
    EXPECT_TRUE(testing::eventually([&] { return url_of(*store_, id).empty(); }));
}

TEST_P(PostgresJobStoreSuite, MemoryIsNotUsedWhenItIsNotKnownWhatWasWithdrawn) {
    testing::PostgresProxy proxy(*server_);
    const auto silent = open_through(proxy);
    std::string id;
    const model::FileKey key = keep_file(*silent, id);
    ASSERT_TRUE(is_in_memory(*silent, id));
    proxy.stop(true);
    ASSERT_TRUE(store_->files().withdraw_file(key, "damaged"));
    clock_.advance(limits::kFileCacheTime);
    EXPECT_TRUE(is_in_memory(*silent, id)) << "to the end of its time";
    clock_.advance(std::chrono::milliseconds(1));
    std::string url = "not asked";
    std::jthread reader([&] { url = url_of(*silent, id); });
    proxy.stop(false);
    reader.join();
    EXPECT_EQ(url, "");
}

TEST_P(PostgresJobStoreSuite, AHistoryThatWasLostEmptiesTheMemory) {
    std::string id;
    keep_file(*store_, id);
    ASSERT_TRUE(connect()->execute("UPDATE file_version SET version = -1"));
    clock_.advance(limits::kFileChangesInterval);
    EXPECT_TRUE(testing::eventually([&] { return !is_in_memory(*store_, id); }));
    EXPECT_NE(url_of(*store_, id), "");
}

TEST_P(PostgresJobStoreSuite, ChangesOfFilesAreForgottenInTheEnd) {
    std::string id;
    ASSERT_TRUE(store_->files().withdraw_file(keep_file(*store_, id), "damaged"));
    ASSERT_TRUE(store_->retention().enforce_limits());
    EXPECT_EQ(number("SELECT count(*) FROM file_change"), 1);
    clock_.advance(limits::kFileChangesKept);
    ASSERT_TRUE(store_->retention().enforce_limits());
    EXPECT_EQ(number("SELECT count(*) FROM file_change"), 0);
}

TEST_P(PostgresJobStoreSuite, BackupsAndFreeSpaceArePostgresOwnMatter) {
    for (const auto& refused : {store_->backup(dir_ / "copy", {}), store_->compact(seconds(1), {})})
        EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(store_->backup(dir_ / "copy", {}).error().message.find("pg_dump"), std::string::npos);
}

}  // namespace export_worker::jobs
