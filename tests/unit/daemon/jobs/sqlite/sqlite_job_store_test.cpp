#include "daemon/jobs/sqlite/sqlite_job_store.hpp"

#include <map>

#include "base/in_memory_error.hpp"
#include "daemon/jobs/sqlite/job_schema.hpp"
#include "daemon/sqlite/database.hpp"
#include "tests/unit/daemon/jobs/sqlite/sqlite_store_under_test.hpp"
#include "tests/unit/support/damage.hpp"

namespace export_worker::jobs {

// What the suites of all stores leave out, because SQLite's is a file that may be copied, and its
// registry goes by two clocks of one machine.
class SqliteJobStoreSuite : public JobStoreConformance {};

INSTANTIATE_TEST_SUITE_P(Sqlite, SqliteJobStoreSuite, ::testing::Values(sqlite_store()));

TEST_P(SqliteJobStoreSuite, ABackupOpens) {
    const auto id = submit().job_id;
    ASSERT_TRUE(store_->backup(dir_ / "copy"));
    submit();
    std::filesystem::create_directory(dir_ / "restored");
    std::filesystem::rename(dir_ / "copy", dir_ / "restored/jobs.db");
    const auto copy = GetParam().open(dir_ / "restored", clock_, policy_);
    ASSERT_NE(copy, nullptr);
    EXPECT_TRUE(copy->reader().find(OrganizationScope::every(), id));
    EXPECT_EQ(copy->reader().counts()->pending, 1);
}

TEST_P(SqliteJobStoreSuite, AConfirmedClockIsBelievedAboutWhatEndedBefore) {
    const auto week = std::chrono::hours(7 * 24);
    ASSERT_TRUE(*store_->retention().check_retention_clock(std::chrono::seconds(60)));
    submit();
    ASSERT_TRUE(finish(claim()));
    clock_.jump(week);
    ASSERT_FALSE(*store_->retention().check_retention_clock(std::chrono::seconds(60)));
    EXPECT_EQ(*store_->retention().expire_files(week), 0U);
    ASSERT_TRUE(*store_->retention().resume_retention());
    EXPECT_EQ(*store_->retention().expire_files(week), 1U);
}

TEST_P(SqliteJobStoreSuite, ADeadlineIsAsFarAwayAfterTheWallClockWasSet) {
    NewJob job = export_of("acme");
    job.deadline = std::chrono::seconds(30);
    const auto created = store_->requests().create(job)->job;
    clock_.jump(std::chrono::hours(1));
    EXPECT_EQ(find(created.job_id).deadline_us, *created.deadline_us + 3'600'000'000);
}

// A registry of schema 2 knew no numbers of waiting and running jobs.
TEST(SqliteJobStore, AnOlderRegistryKeepsItsQueue) {
    const testing::TempDir dir;
    const testing::FakeClock clock;
    const std::string path = dir / "jobs.db";
    {
        auto old = sqlite::Database::open({.path = path,
                                           .application_id = kJobApplicationId,
                                           .migrations = std::span(kJobMigrations).first(2),
                                           .durability = sqlite::Durability::kUnsyncedForTest});
        ASSERT_TRUE(old) << old.error().message;
        ASSERT_TRUE((*old)->write([](sqlite::Connection& connection) {
            return connection.execute(
                "INSERT INTO organization (organization_id, weight) VALUES ('b', 2);"
                "INSERT INTO job (job_id, organization_id, job_type, runner, status, due_us, spec, "
                "total_items, metadata, created_us, owner) VALUES "
                "('1', 'a', 'export', 'daemon', 'pending', 0, '{}', 1, '{}', 0, ''), "
                "('2', 'a', 'export', 'daemon', 'in_progress', 0, '{}', 1, '{}', 0, 'dead'), "
                "('3', 'b', 'export', 'daemon', 'pending', 0, '{}', 1, '{}', 0, ''), "
                "('4', 'c', 'export', 'external', 'in_progress', 0, '{}', 1, '{}', 0, '')");
        }));
    }
    auto store =
        open_sqlite_job_store(path, clock, JobPolicy(), sqlite::Durability::kUnsyncedForTest);
    ASSERT_TRUE(store) << store.error().message;
    const auto numbers = [&] {
        std::map<std::string, std::pair<std::int64_t, std::int64_t>> out;
        const auto states = (*store)->organizations().organizations("");
        for (const OrganizationState& each : states->items)
            out[each.policy.organization_id] = {each.pending, each.running};
        return out;
    };
    EXPECT_EQ((*store)->reader().counts()->pending, 2);
    EXPECT_EQ((*store)->reader().counts()->in_progress, 2);
    const JobFilter running{.status = JobStatus::kInProgress};
    EXPECT_EQ((*store)->reader().list(OrganizationScope::one("a"), running)->jobs.size(), 1U);
    EXPECT_EQ((*store)->reader().list(OrganizationScope::every(), running)->total, 2);
    using Numbers = std::map<std::string, std::pair<std::int64_t, std::int64_t>>;
    EXPECT_EQ(numbers(), (Numbers{{"a", {1, 1}}, {"b", {1, 0}}}));
    EXPECT_EQ(*(*store)->queue().rescue(), 1U);
    EXPECT_EQ(numbers(), (Numbers{{"a", {2, 0}}, {"b", {1, 0}}}));
    for (int left = 3; left > 0; --left) {
        const auto job = (*store)->queue().claim();
        ASSERT_TRUE(job && job->has_value());
        ASSERT_TRUE((*store)->queue().give_up_attempt((*job)->lease, "no use", true, 0));
    }
    EXPECT_FALSE((*store)->queue().claim()->has_value());
    EXPECT_EQ(numbers(), (Numbers{{"b", {0, 0}}}));  // Its weight is a policy of its own.
}

// Before schema 8, deadlines counted from the submission, whenever the job was to start.
TEST(SqliteJobStore, AnOlderRegistrysScheduledJobsKeepTheirTime) {
    const testing::TempDir dir;
    testing::FakeClock clock;
    const std::string path = dir / "jobs.db";
    const std::int64_t now_us = clock.unix_us();
    const std::int64_t start_us = now_us + 3 * 86'400'000'000;
    {
        auto old = sqlite::Database::open({.path = path,
                                           .application_id = kJobApplicationId,
                                           .migrations = std::span(kJobMigrations).first(7),
                                           .durability = sqlite::Durability::kUnsyncedForTest});
        ASSERT_TRUE(old) << old.error().message;
        ASSERT_TRUE((*old)->write([&](sqlite::Connection& connection) {
            return connection
                .statement(
                    "INSERT INTO job (job_id, organization_id, job_type, runner, status, due_us, "
                    "spec, total_items, metadata, created_us, deadline_us) VALUES "
                    "('1', 'a', 'export', 'daemon', 'pending', ?2, '{}', 1, '{}', ?1, ?1 + 1000), "
                    "('2', 'a', 'export', 'daemon', 'pending', ?1, '{}', 1, '{}', ?1, ?1 + 1000)")
                .bind(now_us, start_us)
                .run();
        }));
    }
    auto store =
        open_sqlite_job_store(path, clock, JobPolicy(), sqlite::Durability::kUnsyncedForTest);
    ASSERT_TRUE(store) << store.error().message;
    clock.advance(std::chrono::seconds(1));
    EXPECT_EQ(*(*store)->retention().enforce_limits(), 1U);
    const auto find = [&](const char* id) {
        return *(*store)->reader().find(OrganizationScope::every(), id);
    };
    EXPECT_EQ(find("1").deadline_us, start_us + 1000);
    EXPECT_EQ(find("2").status, JobStatus::kFailed);
}

// As another daemon's would be that has the same database.
TEST(SqliteJobStore, JobsOfAnInstanceThatLivesAreNotRescued) {
    const testing::TempDir dir;
    const testing::FakeClock clock;
    const std::string path = dir / "jobs.db";
    auto store = std::move(*open_sqlite_job_store(path, clock));
    NewJob job;
    job.organization_id = "a";
    job.job_type = model::kExportJobType;
    ASSERT_TRUE(store->requests().create(job));
    ASSERT_TRUE(store->queue().claim()->has_value());
    testing::execute_in(path,
                        "INSERT INTO instance (instance_id, pid, boot_id, version, started_us) "
                        "VALUES ('other', 1, '', '', 0); UPDATE job SET owner = 'other'");
    EXPECT_EQ(*store->queue().rescue(), 0U);
    testing::execute_in(path, "UPDATE instance SET ended_us = 1 WHERE instance_id = 'other'");
    EXPECT_EQ(*store->queue().rescue(), 1U);
}

TEST(SqliteJobStore, AHoldThatCannotBeWrittenHoldsUntilTheRestart) {
    const testing::TempDir dir;
    const testing::FakeClock clock;
    const std::string path = dir / "jobs.db";
    const auto open = [&] { return std::move(*open_sqlite_job_store(path, clock)); };
    OrganizationPolicy policy;
    policy.organization_id = "a";
    policy.held = true;
    auto store = open();
    NewJob job;
    job.job_type = model::kExportJobType;
    for (const char* organization : {"a", "b"}) {
        job.organization_id = organization;
        ASSERT_TRUE(store->requests().create(job));
    }
    testing::refuse_writes(path, "organization");
    const auto refused = store->organizations().set_organization(policy);
    ASSERT_FALSE(refused);
    EXPECT_TRUE(is_in_memory_error(refused.error())) << refused.error().message;
    policy.held = false;
    const auto released = store->organizations().set_organization(policy);
    policy.held = true;
    ASSERT_FALSE(released);
    EXPECT_FALSE(is_in_memory_error(released.error()));
    EXPECT_TRUE(store->organizations().organization("a")->policy.held);
    testing::allow_writes(path);
    EXPECT_EQ((*store->queue().claim())->organization_id, "b");
    EXPECT_FALSE(*store->queue().claim());
    store.reset();
    store = open();
    EXPECT_FALSE(store->organizations().organization("a")->policy.held);
    ASSERT_TRUE(store->organizations().set_organization(policy));
    store.reset();
    EXPECT_TRUE(open()->organizations().organization("a")->policy.held);
}

}  // namespace export_worker::jobs
