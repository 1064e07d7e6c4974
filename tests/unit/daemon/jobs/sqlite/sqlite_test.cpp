// What the registry's reads and writes cost against its size, in steps of SQLite's virtual machine.
#include <gtest/gtest.h>

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/doubling.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/statements.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::jobs {
namespace {

using model::JobStatus;
using model::OrganizationScope;

constexpr int kSmallest = 1'000;
constexpr int kLargest = 64'000;
constexpr double kFlat = 1.5;
constexpr std::chrono::seconds kDay{86'400};

class JobStoreCost : public ::testing::Test {
protected:
    void SetUp() override {
        (void)testing::Statements::get();
        open();
    }
    void open() {
        store_.reset();
        auto opened =
            open_sqlite_job_store(path_, clock_, policy_, sqlite::Durability::kUnsyncedForTest);
        ASSERT_TRUE(opened) << opened.error().message;
        store_ = std::move(*opened);
    }
    template <typename Work>
    std::uint64_t steps_of(const Work& work) {
        const std::uint64_t before = testing::Statements::get().steps();
        work();
        return testing::Statements::get().steps() - before;
    }
    // Jobs of three organizations as years leave them: of eight, three are published, one is
    // failed, one expired, two wait for a day to come and one is a worker's. As the store would
    // write them.
    void grow(int from, int to) {
        const std::string now = std::to_string(clock_.unix_us());
        const std::string rows = "WITH RECURSIVE n (i) AS (SELECT " + std::to_string(from) +
                                 " UNION ALL SELECT i + 1 FROM n WHERE i + 1 < " +
                                 std::to_string(to) + ") ";
        const std::string id = "printf('00%06x-0000-7000-8000-000000000000', i)";
        testing::execute_in(
            path_,
            "BEGIN;" + rows +
                "INSERT INTO job (job_id, organization_id, job_type, runner, status, due_us, spec, "
                "total_items, metadata, file_url, created_us, completed_us, deadline_us, "
                "silence_us, seen_us, triggered_by) SELECT " +
                id +
                ", 'o' || (i % 3), iif(i % 8 = 7, 'crawl', 'BULK_EXPORT'), iif(i % 8 = 7, "
                "'external', 'daemon'), CASE WHEN i % 8 < 3 THEN 'completed' WHEN i % 8 = 3 THEN "
                "'failed' WHEN i % 8 = 4 THEN 'completed' WHEN i % 8 < 7 THEN 'pending' ELSE "
                "'in_progress' END, " +
                now +
                " + iif(i % 8 IN (5, 6), 86400000000, 0), '{}', 1, '{}', iif(i % 8 < 3, "
                "'file:///x', ''), " +
                now + ", iif(i % 8 < 5, " + now + ", NULL), iif(i % 8 = 5, " + now +
                " + 172800000000, NULL), iif(i % 8 = 7, 600000000, NULL), iif(i % 8 = 7, " + now +
                ", NULL), '' FROM n;" + rows +
                "INSERT INTO file (file_key, job_id, epoch, state, bytes, sha256, intended_us) "
                "SELECT 'k' || i, " +
                id + ", 1, 'live', 1, '', " + now + " FROM n WHERE i % 8 < 3;" + rows +
                "INSERT INTO notice (event_id, organization_id, job_id, type, body, at_us, "
                "published, delivery, due_us) SELECT i, 'o' || (i % 3), " +
                id + ", 'job.completed', '{}', " + now + ", 1, 'done', " + now +
                " FROM n WHERE i % 8 < 5;"
                "DELETE FROM job_count;"
                "INSERT INTO job_count SELECT organization_id, status, job_type, count(*) FROM job "
                "GROUP BY 1, 2, 3;"
                "DELETE FROM job_count_of_all;"
                "INSERT INTO job_count_of_all SELECT status, job_type, sum(jobs) FROM job_count "
                "GROUP BY 1, 2;"
                "INSERT INTO organization (organization_id, pending) SELECT organization_id, "
                "count(*) FROM job WHERE status = 'pending' AND runner = 'daemon' GROUP BY 1 "
                "ON CONFLICT DO UPDATE SET pending = excluded.pending;"
                "COMMIT");
    }
    NewJob job_of(const std::string& organization) {
        NewJob job;
        job.organization_id = organization;
        job.job_type = model::kExportJobType;
        return job;
    }
    // `count` jobs that wait, made by the store.
    std::vector<std::string> submit(int count, const NewJob& job) {
        std::vector<std::string> ids;
        std::vector<Pending<CreatedJob>> begun;
        for (int index = 0; index < count; ++index) {
            auto one = store_->requests().begin_create(job);
            EXPECT_TRUE(one);
            begun.push_back(std::move(*one));
        }
        for (const auto& wait : begun) ids.push_back(wait()->job.job_id);
        return ids;
    }

    const testing::TempDir dir_;
    const std::string path_ = dir_ / "jobs.db";
    testing::FakeClock clock_;
    JobPolicy policy_{.attempts_max = 3, .organization_running_max = 1'000'000, .version = "test"};
    std::unique_ptr<JobStore> store_;
};

TEST_F(JobStoreCost, OneReadOrWriteCostsTheSameInARegistryOfAnySize) {
    const auto one = OrganizationScope::one("o1");
    const auto few = OrganizationScope::one("few");
    const auto every = OrganizationScope::every();
    const std::string job = "00000101-0000-7000-8000-000000000000";
    constexpr std::size_t kPage = 20;  // The smallest registry has as many of each.
    const auto list = [&](const OrganizationScope& scope, const JobFilter& filter) {
        return [this, scope, filter] { EXPECT_TRUE(store_->reader().list(scope, filter)); };
    };
    const std::map<std::string, std::function<void()>> operations{
        {"list", list(one, {.limit = kPage})},
        {"list by status", list(one, {.status = JobStatus::kFailed, .limit = kPage})},
        {"list by type", list(one, {.job_type = "crawl", .limit = kPage})},
        {"list by both",
         list(one, {.status = JobStatus::kInProgress, .job_type = "crawl", .limit = kPage})},
        {"list of what there is not", list(one, {.status = JobStatus::kCancelled, .limit = kPage})},
        {"list from the middle",
         list(one, {.limit = kPage, .after = "000001f0-0000-7000-8000-000000000000"})},
        {"list with an offset", list(one, {.limit = kPage, .offset = 40})},
        {"list of all", list(every, {.limit = kPage})},
        {"list of all by status", list(every, {.status = JobStatus::kFailed, .limit = kPage})},
        {"list of all by type", list(every, {.job_type = "crawl", .limit = kPage})},
        {"counts", [&] { EXPECT_TRUE(store_->reader().counts()); }},
        {"organizations", [&] { EXPECT_TRUE(store_->organizations().organizations("")); }},
        {"notices", [&] { EXPECT_TRUE(store_->reader().notices(few, 0)); }},
        {"events", [&] { EXPECT_TRUE(store_->reader().events(every, job, 0)); }},
        {"claim of nothing", [&] { EXPECT_FALSE(store_->queue().claim()->has_value()); }},
        {"deadlines of nothing", [&] { EXPECT_EQ(*store_->retention().enforce_limits(), 0U); }},
        {"expiry of nothing", [&] { EXPECT_EQ(*store_->retention().expire_files(kDay), 0U); }},
        {"pruning of nothing", [&] { EXPECT_EQ(store_->retention().prune(kDay)->jobs, 0U); }},
        {"a job",
         [&] {
             ASSERT_TRUE(store_->requests().create(job_of("o1")));
             const auto claimed = store_->queue().claim();
             ASSERT_TRUE(claimed && claimed->has_value());
             ASSERT_TRUE(store_->queue().give_up_attempt((*claimed)->lease, "no use", true, 0));
         }},
    };
    std::map<std::string, std::uint64_t> first;
    grow(0, kSmallest);
    for (int size = kSmallest; size <= kLargest; size *= 2) {
        for (const auto& [name, run] : operations) {
            run();  // What it finds to do once is done.
            const std::uint64_t steps = steps_of(run);
            if (size == kSmallest) first[name] = steps;
            EXPECT_LE(static_cast<double>(steps), kFlat * static_cast<double>(first[name]))
                << name << ", " << size << " jobs";
        }
        if (size < kLargest) grow(size, 2 * size);
    }
}

// However many they are, a submission waits for one write of kHousekeepingBatch.
TEST_F(JobStoreCost, JobsThatReachTheirDeadlineTogether) {
    testing::Doubling cost;
    std::uint64_t first_write = 0;
    NewJob job = job_of("a");
    job.deadline = std::chrono::seconds(1);
    for (const int count : testing::doubling_rows()) {
        submit(count, job);
        clock_.advance(std::chrono::seconds(2));
        const std::uint64_t one_write = steps_of(
            [&] { EXPECT_EQ(*store_->retention().enforce_limits(), limits::kHousekeepingBatch); });
        if (first_write == 0) first_write = one_write;
        EXPECT_LE(static_cast<double>(one_write), kFlat * static_cast<double>(first_write));
        cost.add(static_cast<std::uint64_t>(count), steps_of([&] {
                     while (*store_->retention().enforce_limits() > 0) {
                     }
                 }));
    }
}

// Each statement that changes rows makes SQLite copy every page it touches: what they have in
// common is written for all of a batch at once, and only the notice, which names its job, for each.
TEST_F(JobStoreCost, JobsOfWorkersThatEndTogetherTakeFewStatements) {
    NewJob late = job_of("a");
    late.runner = model::JobRunner::kExternal;
    NewJob silent = late;
    late.deadline = std::chrono::seconds(60);
    silent.silence_limit = std::chrono::seconds(60);
    ProgressReport started;
    started.mark_started = true;
    constexpr auto kBatch = static_cast<int>(limits::kHousekeepingBatch);
    const auto end_batch = [&](std::chrono::seconds after) {
        clock_.advance(after);
        const std::uint64_t before = testing::Statements::get().runs();
        EXPECT_EQ(*store_->retention().enforce_limits(), limits::kHousekeepingBatch);
        EXPECT_LE(testing::Statements::get().runs() - before, 2 * kBatch + 20);
    };
    submit(kBatch, late);
    end_batch(std::chrono::seconds(61));
    for (const std::string& id : submit(kBatch, silent))
        ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, started, "w"));
    end_batch(std::chrono::seconds(61));
    submit(kBatch, silent);  // None of them is ever begun.
    end_batch(limits::kExternalSilenceMax);
    EXPECT_EQ(store_->reader().counts()->failed, 3 * kBatch);
}

TEST_F(JobStoreCost, SilenceOfManyJobsThatCountsAnew) {
    testing::Doubling cost;
    NewJob job = job_of("a");
    job.runner = model::JobRunner::kExternal;
    ProgressReport started;
    started.mark_started = true;
    for (const int count : testing::doubling_rows()) {
        std::vector<std::string> ids;
        // Two lengths: what counts anew already lies before what is left of the longer one.
        for (const std::chrono::seconds limit : {std::chrono::hours(1), std::chrono::hours(100)}) {
            job.silence_limit = limit;
            for (std::string& id : submit(count / 2, job)) ids.push_back(std::move(id));
        }
        for (const std::string& id : ids)
            ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, started, "w"));
        clock_.advance(std::chrono::hours(2));
        cost.add(static_cast<std::uint64_t>(count),
                 steps_of([&] { EXPECT_TRUE(store_->retention().restart_silence()); }));
        EXPECT_EQ(*store_->retention().enforce_limits(), 0U);
        ProgressReport done;
        done.mark_completed = true;
        for (const std::string& id : ids)
            ASSERT_TRUE(store_->requests().report(OrganizationScope::every(), id, done, "w"));
    }
}

// All of one start: none of them is looked at twice. An open moves one batch of them to the clock,
// however many wait, and the first claim the others.
TEST_F(JobStoreCost, ScheduledJobsMoveToAClockThatWasSetInBatches) {
    constexpr std::chrono::hours kHour(1);
    const auto runs = [] { return testing::Statements::get().runs(); };
    testing::Doubling cost;
    std::uint64_t first_open = 0;
    for (const int count : testing::doubling_rows()) {
        NewJob job = job_of("a");
        job.start_unix_us = clock_.unix_us() + us_of(10 * kDay);
        job.deadline = std::chrono::seconds(60);
        submit(count, job);
        clock_.jump(kHour);
        const std::uint64_t open_runs = runs();
        const std::uint64_t open_steps = steps_of([&] { open(); });
        EXPECT_LE(runs() - open_runs, 100U);
        if (first_open == 0) first_open = open_steps;
        EXPECT_LE(static_cast<double>(open_steps), kFlat * static_cast<double>(first_open));
        const std::uint64_t before = runs();
        cost.add(static_cast<std::uint64_t>(count),
                 steps_of([&] { EXPECT_FALSE(store_->queue().claim()->has_value()); }));
        const auto batches = static_cast<std::uint64_t>(count) / limits::kHousekeepingBatch;
        EXPECT_LE(runs() - before, 7 * batches + 6);  // Six, and now and then a checkpoint.
        clock_.advance(10 * kDay - kHour - std::chrono::seconds(1));
        EXPECT_FALSE(store_->queue().claim()->has_value());
        clock_.advance(std::chrono::seconds(2));
        int claimed = 0;
        while (store_->queue().claim()->has_value()) ++claimed;
        EXPECT_EQ(claimed, count);
    }
}

TEST_F(JobStoreCost, AClaimFailsWhatIsLateAndFindsTheJobBehindIt) {
    NewJob late = job_of("a");
    late.deadline = std::chrono::seconds(1);
    testing::Doubling cost;
    for (const int count : testing::doubling_rows()) {
        submit(count, late);
        clock_.advance(std::chrono::seconds(2));
        const std::string id = store_->requests().create(job_of("a"))->job.job_id;
        cost.add(static_cast<std::uint64_t>(count), steps_of([&] {
                     const auto claimed = store_->queue().claim();
                     ASSERT_TRUE(claimed && claimed->has_value());
                     EXPECT_EQ((*claimed)->lease.job_id, id);
                 }));
    }
}

TEST_F(JobStoreCost, ClaimsOfManyOrganizations) {
    testing::Doubling cost;
    for (const int count : testing::doubling_rows()) {
        for (int organization = 0; organization < 100; ++organization)
            submit(count / 100, job_of("o" + std::to_string(organization)));
        cost.add(static_cast<std::uint64_t>(count), steps_of([&] {
                     int claimed = 0;
                     while (store_->queue().claim()->has_value()) ++claimed;
                     EXPECT_EQ(claimed, count);
                 }));
    }
}

TEST_F(JobStoreCost, LinksToManyJobs) {
    testing::Doubling cost;
    for (const int count : testing::doubling_rows()) {
        std::vector<JobAccess> accesses;
        for (const std::string& id : submit(count, job_of("a")))
            accesses.push_back({id, "link_minted", "k1", 1});
        cost.add(static_cast<std::uint64_t>(count),
                 steps_of([&] { EXPECT_TRUE(store_->accesses().add(accesses)); }));
    }
}

TEST_F(JobStoreCost, RetentionOfManyJobs) {
    testing::Doubling cost;
    int from = 0;
    for (const int count : testing::doubling_rows()) {
        grow(from, from + count);
        from += count;
        clock_.advance(2 * kDay);
        cost.add(static_cast<std::uint64_t>(count), steps_of([&] {
                     while (*store_->retention().expire_files(kDay) > 0) {
                     }
                     clock_.advance(kDay);  // The links to the files have ended.
                     for (auto keys = store_->files().deletable_files(); !keys->empty();
                          keys = store_->files().deletable_files())
                         ASSERT_TRUE(store_->files().forget_files(*keys));
                     for (Pruned pruned{.jobs = 1}; pruned.jobs + pruned.notices > 0;)
                         pruned = *store_->retention().prune(kDay);
                 }));
        EXPECT_EQ(store_->reader().counts()->completed, 0);
    }
}

}  // namespace
}  // namespace export_worker::jobs
