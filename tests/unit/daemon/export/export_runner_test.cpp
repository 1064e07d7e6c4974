#include "daemon/export/export_runner.hpp"
#include "base/json.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <latch>
#include <set>
#include <thread>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/catalog/import_lines.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/export/export_service.hpp"
#include "daemon/export/export_workers.hpp"
#include "daemon/export/limits.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/lost_answers.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::exports {
namespace {

using model::JobStatus;
using model::OrganizationScope;
using nlohmann::json;

class ExportRunnerTest : public ::testing::Test {
protected:
    void SetUp() override {
        std::string lines;
        for (int index = 0; index < 1200; ++index) {
            lines += R"({"key":"k)" + std::to_string(10000 + index) +
                     R"(","productType":"t","properties":{"name":"n"}})"
                     "\n";
        }
        ASSERT_TRUE(catalog::import_products(catalog_->imports(), "acme", lines, 1));
    }
    ExportService service() {
        return {jobs_->requests(), catalog_->reader(), catalog_->templates(),
                std::chrono::seconds(0), [] {}};
    }
    std::string submit(const json& request) {
        auto accepted = service().submit("acme", request, "test");
        EXPECT_TRUE(accepted) << accepted.error().message;
        return accepted->job.job_id;
    }
    model::Job run(const std::string& id) {
        const auto job = jobs_->queue().claim();
        EXPECT_TRUE(job && job->has_value());
        (void)run_export(deps_, **job, watch_);
        return find(id);
    }
    model::Job find(const std::string& id) {
        return *jobs_->reader().find(OrganizationScope::every(), id);
    }
    std::size_t files() {
        std::size_t count = 0;
        for (const auto& entry : std::filesystem::recursive_directory_iterator(dir_ / "exports"))
            count += entry.is_regular_file();
        return count;
    }

    Swept sweep_all(std::chrono::seconds grace) {
        Swept out;
        EXPECT_TRUE(sweep(deps_, grace, stopping_, out));
        return out;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    jobs::JobPolicy policy_{.attempts_max = 3, .organization_running_max = 100, .version = "test"};
    std::unique_ptr<jobs::JobStore> jobs_ = std::move(*jobs::open_sqlite_job_store(
        dir_ / "jobs.db", clock_, policy_, sqlite::Durability::kUnsyncedForTest));
    std::unique_ptr<catalog::CatalogStore> catalog_ = std::move(*catalog::open_sqlite_catalog_store(
        dir_ / "catalog.db", clock_, sqlite::Durability::kUnsyncedForTest));
    std::unique_ptr<files::LocalFileStore> files_ =
        std::move(*files::LocalFileStore::open(dir_ / "exports"));
    ExportDeps deps_{&clock_, jobs_.get(), &catalog_->reader(), files_.get(), dir_ / "tmp",
                     "test",  {}};
    // The jobs run once more, as after a death: another instance owns them then.
    void reopen_jobs() {
        deps_.jobs = nullptr;
        jobs_.reset();
        jobs_ = std::move(*jobs::open_sqlite_job_store(dir_ / "jobs.db", clock_, policy_,
                                                       sqlite::Durability::kUnsyncedForTest));
        deps_.jobs = jobs_.get();
    }
    std::atomic<bool> stopping_{false};
    RunWatch watch_{stopping_};
};

// It comes back by itself, however long that takes.
TEST_F(ExportRunnerTest, AStoreThatIsAwayCostsNoAttempt) {
    files_ = std::move(*files::LocalFileStore::open(dir_ / "marked", {"registry", {}}));
    deps_.files = files_.get();
    const auto id = submit({{"format", "csv"}, {"columns", {"key"}}});
    std::filesystem::rename(dir_ / "marked", dir_ / "away");
    std::filesystem::create_directory(dir_ / "marked");
    for (int attempts = 0; attempts < 2 * policy_.attempts_max; ++attempts) {
        const model::Job job = run(id);
        EXPECT_EQ(job.status, JobStatus::kPending);
        EXPECT_EQ(job.attempt, 0);
        EXPECT_TRUE(watch_.was_hindered);
    }
    std::filesystem::remove(dir_ / "marked");
    std::filesystem::rename(dir_ / "away", dir_ / "marked");
    EXPECT_EQ(run(id).status, JobStatus::kCompleted);
    EXPECT_FALSE(watch_.was_hindered);
}

// The others put the job back by then, or soon will.
TEST_F(ExportRunnerTest, ADaemonThatDoesNotCountGivesItsAttemptBack) {
    bool counts = false;
    deps_.standing = {.leads = [] { return true; }, .is_current = [&] { return counts; }};
    const auto id = submit({{"format", "csv"}, {"columns", {"key"}}});
    const model::Job job = run(id);
    EXPECT_EQ(job.status, JobStatus::kPending);
    EXPECT_EQ(job.attempt, 0);
    EXPECT_EQ(files(), 0U);
    counts = true;
    EXPECT_EQ(run(id).status, JobStatus::kCompleted);
}

TEST_F(ExportRunnerTest, WorkersTakeNoJobWhileTheStoreIsAway) {
    files_ = std::move(*files::LocalFileStore::open(dir_ / "marked", {"registry", {}}));
    deps_.files = files_.get();
    const auto id = submit({{"format", "csv"}, {"columns", {"key"}}});
    std::filesystem::rename(dir_ / "marked", dir_ / "away");
    ExportWorkers workers(deps_, std::chrono::seconds(60));
    workers.start(1);
    workers.wake();
    const auto taken_by_then = limits::kJobPollInterval + std::chrono::milliseconds(200);
    std::this_thread::sleep_for(taken_by_then);  // sleep: nothing is to happen
    EXPECT_EQ(find(id).status, JobStatus::kPending);
    EXPECT_EQ(find(id).interruptions, 0);
    std::filesystem::rename(dir_ / "away", dir_ / "marked");
    EXPECT_TRUE(testing::eventually([&] { return find(id).status == JobStatus::kCompleted; }));
    workers.stop();
    EXPECT_EQ(workers.stats().failed.load(), 0U);
}

TEST_F(ExportRunnerTest, PublishesAFileThatMatchesItsRecord) {
    const auto id =
        submit({{"format", "csv"}, {"columns", {"key", "name"}}, {"filename", "mine.csv"}});
    const model::Job job = run(id);
    EXPECT_EQ(job.status, JobStatus::kCompleted) << job.error_message;
    const json metadata = parse_json_or_throw(job.metadata_json);
    const std::string path = metadata["file_url"].get<std::string>().substr(7);
    const std::string bytes = testing::read_text(path);
    EXPECT_EQ(metadata["sha256"], to_hex(crypto::sha256(bytes)));
    EXPECT_EQ(metadata["bytes"], bytes.size());
    EXPECT_EQ(metadata["rows"], 1200);
    EXPECT_EQ(metadata["filename"], "mine.csv");
    EXPECT_TRUE(bytes.starts_with("key,name\r\nk10000,n\r\n"));
    EXPECT_EQ(std::ranges::count(bytes, '\n'), 1201);
    EXPECT_EQ(files(), 1U);
}

TEST_F(ExportRunnerTest, AnEmptyCatalogIsAFileWithAHeader) {
    auto accepted = service().submit("nobody", json{{"format", "csv"}}, "test");
    const model::Job job = run(accepted->job.job_id);
    EXPECT_EQ(job.status, JobStatus::kCompleted);
    EXPECT_EQ(parse_json_or_throw(job.metadata_json)["rows"], 0);
}

TEST_F(ExportRunnerTest, MissingKeysMakeAPartialSuccess) {
    const model::Job job = run(submit({{"product_keys", {"k10001", "nope"}}}));
    EXPECT_EQ(job.status, JobStatus::kPartialSuccess);
    ASSERT_EQ(job.errors.size(), 1U);
    EXPECT_EQ(job.errors[0].entity_key, "nope");
    EXPECT_EQ(job.processed_items, 1);
    EXPECT_EQ(job.failed_items, 1);
    EXPECT_EQ(parse_json_or_throw(job.metadata_json)["missing_products"], 1);
}

TEST_F(ExportRunnerTest, ListedProductsKeepTheirOrderOverManyBatches) {
    std::vector<std::string> keys;
    std::string expected = "key\r\n";
    for (int index = 1199; index >= 0; --index) {
        keys.push_back("k" + std::to_string(10000 + index));
        expected += keys.back() + "\r\n";
        if (index % 100 == 0) keys.push_back("none" + std::to_string(index));
    }
    const model::Job job =
        run(submit({{"product_keys", keys}, {"columns", {"key"}}, {"format", "csv"}}));
    EXPECT_EQ(job.status, JobStatus::kPartialSuccess);
    EXPECT_EQ(job.processed_items, 1200);
    EXPECT_EQ(job.failed_items, 12);
    ASSERT_EQ(job.errors.size(), 12U);
    EXPECT_EQ(job.errors[0].entity_key, "none1100");
    const json metadata = parse_json_or_throw(job.metadata_json);
    const std::string path = metadata["file_url"].get<std::string>().substr(7);
    EXPECT_EQ(testing::read_text(path), expected);
}

TEST_F(ExportRunnerTest, AlteredCellsMakeItCompletedWithWarnings) {
    const model::Job job =
        run(submit({{"columns", {{{"property", "name"}, {"format", "number"}}}}}));
    EXPECT_EQ(job.status, JobStatus::kCompletedWithWarnings);
    EXPECT_EQ(job.warned_items, 1200);
    EXPECT_EQ(job.warnings.size(), limits::kExportNotesMax);
}

TEST_F(ExportRunnerTest, UnknownColumnsAreRefusedBeforeAJobExists) {
    const auto refused = service().submit("acme", json{{"columns", {"nmae"}}}, "test");
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(jobs_->reader().counts()->pending, 0);
}

TEST_F(ExportRunnerTest, ACancelledRunLeavesNoFile) {
    const auto id = submit({{"format", "jsonl"}});
    const auto job = jobs_->queue().claim();
    ASSERT_TRUE(jobs_->requests().request_cancel(OrganizationScope::every(), id, "me"));
    (void)run_export(deps_, **job, watch_);
    EXPECT_EQ(find(id).status, JobStatus::kCancelled);
    EXPECT_EQ(files(), 0U);
}

TEST_F(ExportRunnerTest, AStoppingDaemonPutsTheJobBack) {
    const auto id = submit({{"format", "csv"}});
    stopping_ = true;
    const model::Job job = run(id);
    EXPECT_EQ(job.status, JobStatus::kPending);
    EXPECT_EQ(job.attempt, 0);
    EXPECT_EQ(files(), 0U);
}

TEST_F(ExportRunnerTest, ALostLeaseDoesNotTouchTheNewOwnersJob) {
    const auto id = submit({{"format", "csv"}});
    const auto zombie = jobs_->queue().claim();
    reopen_jobs();
    ASSERT_TRUE(jobs_->queue().rescue());
    const auto current = jobs_->queue().claim();
    (void)run_export(deps_, **zombie, watch_);
    EXPECT_EQ(find(id).status, JobStatus::kInProgress);
    EXPECT_EQ(files(), 0U);
    (void)run_export(deps_, **current, watch_);
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    EXPECT_EQ(files(), 1U);
}

TEST_F(ExportRunnerTest, RecoverSweepsWhatACrashLeaves) {
    const auto id = submit({{"format", "csv"}});
    const auto job = jobs_->queue().claim();
    // A crash after the rename and before the commit: the file is there, nothing points to it.
    ASSERT_TRUE(jobs_->queue().intend_file((*job)->lease, "acme/orphan.csv"));
    {
        auto file = files_->create({"acme/orphan.csv", "text/csv", 0});
        ASSERT_TRUE((*file)->commit());
    }
    EXPECT_EQ(files(), 1U);
    reopen_jobs();
    ASSERT_TRUE(recover(deps_));
    EXPECT_EQ(files(), 0U);
    EXPECT_TRUE(jobs_->files().unpublished_files()->empty());
    EXPECT_EQ(find(id).status, JobStatus::kPending);
    EXPECT_EQ(run(id).status, JobStatus::kCompleted);
    EXPECT_EQ(files(), 1U);
}

// A file that turned up after its attempt had been cleaned up, as an upload whose answer was lost
// can.
TEST_F(ExportRunnerTest, SweepDeletesOrphansOnceTheirGraceIsOver) {
    const auto id = submit({{"format", "csv"}});
    ASSERT_EQ(run(id).status, JobStatus::kCompleted);
    const auto put = [&](const std::string& key) {
        auto file = files_->create({key, "text/csv", 0});
        ASSERT_TRUE((*file)->commit());
    };
    put("acme/" + id + ".7.csv");
    put("acme/unknown-job.1.csv");  // Of another daemon, for all this one knows.
    put("acme/notes.txt");
    EXPECT_EQ(files(), 4U);
    clock_.advance(std::chrono::microseconds(system_clock().unix_us() - clock_.unix_us()));
    const Swept young = sweep_all(std::chrono::seconds(3600));
    EXPECT_EQ(young.orphans, 0U);
    EXPECT_EQ(young.kept, 4U);
    clock_.advance(std::chrono::seconds(3590));  // The files are a moment old themselves.
    EXPECT_EQ(sweep_all(std::chrono::seconds(3600)).orphans, 0U);
    clock_.advance(std::chrono::seconds(11));
    const Swept old = sweep_all(std::chrono::seconds(3600));
    EXPECT_EQ(old.orphans, 1U);
    EXPECT_EQ(old.kept, 3U);
    EXPECT_EQ(files(), 3U);
}

TEST_F(ExportRunnerTest, SweepLeavesAloneWhatIsBeingWritten) {
    submit({{"format", "csv"}});
    const auto job = jobs_->queue().claim();
    ASSERT_TRUE(jobs_->queue().intend_file((*job)->lease, "acme/running.csv"));
    EXPECT_EQ(sweep_all(std::chrono::seconds(0)).unpublished, 0U);
    ASSERT_TRUE(jobs_->queue().release((*job)->lease));
    EXPECT_EQ(sweep_all(std::chrono::seconds(0)).unpublished, 1U);
    EXPECT_TRUE(jobs_->files().unpublished_files()->empty());
}

TEST_F(ExportRunnerTest, AFailingDiskIsRetriedAndThenReported) {
    const auto id = submit({{"format", "csv"}});
    std::filesystem::remove_all(dir_ / "exports");
    testing::TempDir unused;
    std::ofstream(dir_ / "exports") << "a file where the directory was";
    model::Job job;
    for (int attempt = 0; attempt < 3; ++attempt) {
        job = run(id);
        clock_.advance(std::chrono::seconds(120));
    }
    EXPECT_EQ(job.status, JobStatus::kFailed);
    EXPECT_NE(job.error_message.find("exports"), std::string::npos);
}

TEST_F(ExportRunnerTest, ARequestThatCannotBeReadEndsTheJob) {
    jobs::NewJob damaged;
    damaged.organization_id = "acme";
    damaged.job_type = model::kExportJobType;
    damaged.spec_json = "{";
    const auto created = jobs_->requests().create(damaged);
    ASSERT_TRUE(created) << created.error().message;
    const model::Job job = run(created->job.job_id);
    EXPECT_EQ(job.status, JobStatus::kFailed);
    EXPECT_EQ(job.error_message, "the stored request is not JSON");
}

TEST_F(ExportRunnerTest, ADamagedCatalogIsNoMissingProduct) {
    const auto id = submit({{"product_keys", {"k10001"}}});
    catalog_.reset();
    // A start would find the damage.
    catalog_ = std::move(*catalog::open_sqlite_catalog_store(dir_ / "catalog.db", clock_,
                                                             sqlite::Durability::kUnsyncedForTest));
    testing::damage_table(dir_ / "catalog.db", "product");
    deps_.catalog = &catalog_->reader();
    const model::Job job = run(id);
    EXPECT_EQ(job.status, JobStatus::kPending);  // It is tried again.
    EXPECT_NE(job.error_message.find("malformed"), std::string::npos) << job.error_message;
    EXPECT_TRUE(job.errors.empty());
}

TEST_F(ExportRunnerTest, WorkersPickUpJobsWhenWoken) {
    ExportWorkers workers(deps_);
    workers.start(2);
    std::vector<std::string> ids;
    for (int index = 0; index < 6; ++index) {
        ids.push_back(submit({{"format", index % 2 == 0 ? "csv" : "jsonl"}}));
        workers.wake();
    }
    EXPECT_TRUE(testing::eventually([&] { return jobs_->reader().counts()->completed == 6; }));
    workers.stop();
    EXPECT_EQ(jobs_->reader().counts()->completed, 6);
    EXPECT_EQ(files(), 6U);
}

// Another store; what it makes of create() is for those derived from it.
class StoreOver : public files::FileStore {
public:
    explicit StoreOver(files::FileStore& store) : store_(store) {}
    Result<bool> remove(const model::FileKey& key) override { return store_.remove(key); }
    Result<std::optional<files::FileFacts>> inspect(const model::FileKey& key,
                                                    bool with_hash) override {
        return store_.inspect(key, with_hash);
    }
    Result<void> list(const std::function<Result<void>(const files::ListedFile&)>& visit) override {
        return store_.list(visit);
    }
    bool is_remote() const override { return false; }
    std::string where() const override { return store_.where(); }

protected:
    files::FileStore& store_;
};

// Holds every export up until it is let go.
class StuckStore final : public StoreOver {
public:
    using StoreOver::StoreOver;
    Result<std::unique_ptr<files::PendingFile>> create(const files::NewFile& file) override {
        entered.count_down();
        released.wait();
        return store_.create(file);
    }

    std::latch entered{1};
    std::latch released{1};
};

// Another store whose files, once written, make the answers of the next commits get lost.
class LosingStore final : public StoreOver {
public:
    using StoreOver::StoreOver;
    Result<std::unique_ptr<files::PendingFile>> create(const files::NewFile& file) override {
        EW_TRY(auto pending, store_.create(file));
        return std::make_unique<Losing>(std::move(pending));
    }

private:
    struct Losing final : files::PendingFile {
        explicit Losing(std::unique_ptr<files::PendingFile> under) : file(std::move(under)) {}
        Result<void> append(std::string_view bytes) override { return file->append(bytes); }
        Result<model::FileReceipt> commit() override {
            auto receipt = file->commit();
            testing::lose_commit_answers(2 * limits::kOutcomeTriesMax);
            return receipt;
        }
        std::unique_ptr<files::PendingFile> file;
    };
};

// Each look at it is a second later, so that the next try comes at once.
struct MovingClock final : Clock {
    explicit MovingClock(testing::FakeClock& under) : clock(under) {}
    std::int64_t unix_us() const override { return clock.unix_us(); }
    SteadyTime steady() const override {
        clock.advance(std::chrono::seconds(1));
        return clock.steady();
    }
    testing::FakeClock& clock;
};

// The first write of an attempt is a heartbeat, the second one announces its file.
TEST_F(ExportRunnerTest, AnswersThatStayLostCostNoAttempt) {
    MovingClock moving(clock_);
    deps_.clock = &moving;
    for (const int writes : {1, 2, 3}) {
        const auto id = submit({{"format", "csv"}});
        const auto job = jobs_->queue().claim();
        testing::lose_commit_answers(writes * limits::kOutcomeTriesMax);
        EXPECT_TRUE(run_export(deps_, **job, watch_)) << writes;
        EXPECT_EQ(find(id).status, JobStatus::kCompleted) << writes;
        EXPECT_EQ(find(id).attempt, 1) << writes;
    }
    EXPECT_EQ(files(), 3U);
}

TEST_F(ExportRunnerTest, ACompletionWhoseAnswerIsLostIsRunAgainAndKeepsItsFile) {
    LosingStore losing(*files_);
    deps_.files = &losing;
    MovingClock moving(clock_);
    deps_.clock = &moving;
    const auto id = submit({{"format", "csv"}});
    const auto job = jobs_->queue().claim();
    EXPECT_TRUE(run_export(deps_, **job, watch_));
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    EXPECT_EQ(files(), 1U);
    EXPECT_EQ(jobs_->files().published_files("")->size(), 1U);
}

TEST_F(ExportRunnerTest, AFileOfAnUnknownOutcomeStaysWhenTheProcessStops) {
    LosingStore losing(*files_);
    deps_.files = &losing;
    const auto id = submit({{"format", "csv"}});
    const auto job = jobs_->queue().claim();
    std::thread running([&] {
        EXPECT_EQ(run_export(deps_, **job, watch_).error().code, ErrorCode::kUnknownOutcome);
    });
    EXPECT_TRUE(testing::eventually([&] { return testing::has_logged("could not be recorded"); }));
    stopping_.store(true);
    running.join();
    testing::lose_commit_answers(0);
    EXPECT_EQ(files(), 1U);
    reopen_jobs();
    ASSERT_TRUE(recover(deps_));
    EXPECT_EQ(find(id).status, JobStatus::kCompleted);
    EXPECT_EQ(files(), 1U);
}

TEST_F(ExportRunnerTest, AStalledJobIsTakenAwayOnceThatCanBeWritten) {
    StuckStore stuck(*files_);
    deps_.files = &stuck;
    ExportWorkers workers(deps_, std::chrono::seconds(60));
    workers.start(1);
    const auto id = submit({{"format", "csv"}});
    workers.wake();
    stuck.entered.wait();
    testing::refuse_writes(dir_ / "jobs.db", "job");
    EXPECT_TRUE(testing::eventually([&] {
        // Again and again: the watch counts from its own beginning, which may be later than
        // this.
        clock_.advance(std::chrono::seconds(61));
        return testing::has_logged("job " + id + ": no progress for 60 s: ");
    }));
    EXPECT_EQ(find(id).status, JobStatus::kInProgress);
    testing::allow_writes(dir_ / "jobs.db");
    EXPECT_TRUE(testing::eventually([&] { return find(id).status == JobStatus::kPending; }));
    EXPECT_EQ(find(id).error_message, "no progress for 60 s");
    stuck.released.count_down();
    workers.stop();
}

TEST_F(ExportRunnerTest, AnAttemptThatTakesTooLongIsGivenUp) {
    deps_.policy.attempt_limit = std::chrono::seconds(0);
    const auto id = submit({{"format", "csv"}});
    const auto job = jobs_->queue().claim();
    clock_.advance(std::chrono::seconds(1));
    struct Moving final : Clock {
        explicit Moving(testing::FakeClock& under) : clock(under) {}
        std::int64_t unix_us() const override { return clock.unix_us(); }
        SteadyTime steady() const override {
            clock.advance(std::chrono::seconds(1));
            return clock.steady();
        }
        testing::FakeClock& clock;
    } moving(clock_);
    deps_.clock = &moving;
    (void)run_export(deps_, **job, watch_);
    EXPECT_EQ(find(id).status, JobStatus::kPending);
    EXPECT_NE(find(id).error_message.find("the attempt took longer"), std::string::npos);
    EXPECT_EQ(files(), 0U);
}

TEST_F(ExportRunnerTest, DelaysGrowAreBoundedAndDiffer) {
    RunPolicy policy;
    policy.retry_base = std::chrono::milliseconds(100);
    policy.retry_max = std::chrono::seconds(2);
    std::set<std::int64_t> seen;
    std::chrono::microseconds longest{0};
    for (int round = 0; round < 200; ++round) {
        EXPECT_LE(retry_delay(policy, 1), std::chrono::milliseconds(100));
        EXPECT_LE(retry_delay(policy, 3), std::chrono::milliseconds(400));
        const auto late = retry_delay(policy, 60);
        EXPECT_LE(late, policy.retry_max);
        longest = std::max(longest, late);
        seen.insert(late.count());
    }
    EXPECT_GT(seen.size(), 150U);
    EXPECT_GT(longest, std::chrono::seconds(1));
}

TEST_F(ExportRunnerTest, FieldsAboutTheJobAreCheckedAndKept) {
    const auto refused = [&](const json& request) {
        const auto accepted = service().submit("acme", request, "test");
        return accepted ? std::string() : accepted.error().message;
    };
    EXPECT_NE(refused({{"priority", "urgent"}}).find("low, normal or high"), std::string::npos);
    EXPECT_NE(refused({{"start_at", "soon"}}).find("start_at"), std::string::npos);
    EXPECT_NE(refused({{"start_at", "9999-12-31T23:59:59Z"}}).find("366 days"), std::string::npos);
    EXPECT_NE(refused({{"deadline_s", 0}}).find("deadline_s"), std::string::npos);
    EXPECT_NE(refused({{"max_attempts", 1000}}).find("max_attempts"), std::string::npos);
    EXPECT_NE(refused({{"idempotency_key", "a\nb"}}).find("idempotency_key"), std::string::npos);
    EXPECT_NE(refused({{"template", "none"}}).find("template"), std::string::npos);
    const json request = {{"priority", "high"}, {"max_attempts", 7}, {"idempotency_key", "k"}};
    const auto id = submit(request);
    EXPECT_EQ(submit(request), id);
    EXPECT_EQ(find(id).priority, model::JobPriority::kHigh);
    EXPECT_EQ(find(id).attempts_max, 7);
    EXPECT_NE(refused({{"format", "jsonl"}, {"idempotency_key", "k"}}).find("idempotency_key"),
              std::string::npos);
}

TEST_F(ExportRunnerTest, OldFilesGoOnceTheirLinksHaveEnded) {
    ASSERT_TRUE(jobs_->files().set_link_lifetime(std::chrono::seconds(900)));
    const auto id = submit({{"format", "csv"}});
    ASSERT_EQ(run(id).status, JobStatus::kCompleted);
    clock_.advance(std::chrono::hours(24 * 8));
    EXPECT_EQ(*jobs_->retention().expire_files(limits::kFileRetentionDefault), 1U);
    std::size_t deleted = 7;
    ASSERT_TRUE(drop_withdrawn(deps_, stopping_, deleted));
    EXPECT_EQ(deleted, 0U);
    EXPECT_EQ(files(), 1U);
    clock_.advance(std::chrono::seconds(900) + limits::kFileDeletionMargin);
    ASSERT_TRUE(drop_withdrawn(deps_, stopping_, deleted));
    EXPECT_EQ(deleted, 1U);
    EXPECT_EQ(files(), 0U);
    EXPECT_FALSE(*jobs_->files().has_files());
}

}  // namespace
}  // namespace export_worker::exports
