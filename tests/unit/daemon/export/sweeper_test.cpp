#include "daemon/export/sweeper.hpp"

#include <gtest/gtest.h>

#include <fstream>

#include "daemon/export/limits.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::exports {
namespace {

// Deletes nothing while it is away.
class AwayStore final : public files::FileStore {
public:
    explicit AwayStore(files::FileStore& store) : store_(store) {}
    Result<std::unique_ptr<files::PendingFile>> create(const files::NewFile& file) override {
        return store_.create(file);
    }
    Result<bool> remove(const model::FileKey& key) override {
        if (away.load()) return fail(ErrorCode::kUnavailable, "the store is away");
        return store_.remove(key);
    }
    Result<std::optional<files::FileFacts>> inspect(const model::FileKey& key,
                                                    bool with_hash) override {
        return store_.inspect(key, with_hash);
    }
    Result<void> list(const std::function<Result<void>(const files::ListedFile&)>& visit) override {
        return store_.list(visit);
    }
    bool is_remote() const override { return true; }
    std::string where() const override { return store_.where(); }

    std::atomic<bool> away{false};

private:
    files::FileStore& store_;
};

class SweeperTest : public ::testing::Test {
protected:
    model::FileKey publish() {
        jobs::NewJob job;
        job.organization_id = "acme";
        job.job_type = model::kExportJobType;
        EXPECT_TRUE(jobs_->requests().create(job));
        const model::Lease lease = (*jobs_->queue().claim())->lease;
        model::FileKey key = "acme/" + lease.job_id + ".1.csv";
        EXPECT_TRUE(jobs_->queue().intend_file(lease, key));
        auto file = std::move(*files_->create({key, "text/csv", 0}));
        jobs::Completion done;
        done.file = *file->commit();
        done.metadata_json = "{}";
        EXPECT_TRUE(jobs_->queue().complete(lease, done));
        return key;
    }
    std::string path(const model::FileKey& key) const { return dir_ / ("exports/" + key); }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<jobs::JobStore> jobs_ = std::move(*jobs::open_sqlite_job_store(
        dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
    std::unique_ptr<files::LocalFileStore> files_ =
        std::move(*files::LocalFileStore::open(dir_ / "exports"));
    AwayStore store_{*files_};
    ExportDeps deps_{&clock_, jobs_.get(), nullptr, &store_, dir_ / "tmp", "test", {}};
};

TEST_F(SweeperTest, DeletesWithdrawnFilesOnceTheirLinksHaveEnded) {
    const model::FileKey key = publish();
    ASSERT_TRUE(jobs_->files().withdraw_file(key, "damaged"));
    Sweeper sweeper(deps_, {});
    sweeper.start();
    EXPECT_TRUE(std::filesystem::exists(path(key)));
    clock_.advance(limits::kFileDeletionMargin);
    EXPECT_TRUE(testing::eventually([&] { return sweeper.stats().withdrawn.load() == 1; }));
    sweeper.stop();
    EXPECT_FALSE(std::filesystem::exists(path(key)));
    EXPECT_FALSE(*jobs_->files().has_files());
    EXPECT_TRUE(testing::has_logged("1 expired or withdrawn files are deleted"));
}

TEST_F(SweeperTest, OnlyTheOneThatLeadsDeletes) {
    const model::FileKey key = publish();
    ASSERT_TRUE(jobs_->files().withdraw_file(key, "damaged"));
    clock_.advance(limits::kFileDeletionMargin);
    std::atomic<bool> leads{false};
    std::atomic<int> asked{0};
    deps_.standing.leads = [&] {
        ++asked;
        return leads.load();
    };
    Sweeper sweeper(deps_, {});
    sweeper.start();
    ASSERT_TRUE(testing::eventually([&] { return asked.load() >= 2; }));
    EXPECT_TRUE(std::filesystem::exists(path(key)));
    leads = true;
    EXPECT_TRUE(testing::eventually([&] { return sweeper.stats().withdrawn.load() == 1; }));
    sweeper.stop();
}

TEST_F(SweeperTest, AStoreThatIsAwayForLongIsAProblem) {
    const model::FileKey key = publish();
    ASSERT_TRUE(jobs_->files().withdraw_file(key, "damaged"));
    clock_.advance(limits::kFileDeletionMargin);
    store_.away = true;
    Sweeper sweeper(deps_, {});
    sweeper.start();
    ASSERT_TRUE(testing::eventually(
        [&] { return testing::has_logged("are not deleted yet: the store is away"); }));
    EXPECT_EQ(sweeper.problem(), "");
    clock_.advance(limits::kSweepLateAlarm);
    EXPECT_TRUE(testing::eventually([&] { return !sweeper.problem().empty(); }));
    store_.away = false;
    clock_.advance(limits::kSweepRetryInterval);
    EXPECT_TRUE(testing::eventually([&] { return sweeper.problem().empty(); }));
    sweeper.stop();
    EXPECT_FALSE(std::filesystem::exists(path(key)));
}

TEST_F(SweeperTest, ManyOrphansAreOneLineAndACount) {
    const model::FileKey key = publish();
    const std::string prefix = key.substr(0, key.size() - 5);  // Less "1.csv".
    for (int epoch = 2; epoch < 302; ++epoch)
        std::ofstream(path(prefix + std::to_string(epoch) + ".csv")) << "late";
    clock_.advance(std::chrono::microseconds(system_clock().unix_us() - clock_.unix_us()) +
                   std::chrono::seconds(10));
    Sweeper sweeper(deps_, {std::chrono::seconds(1), std::chrono::seconds(1)});
    sweeper.start();
    EXPECT_TRUE(testing::eventually([&] {
        clock_.advance(std::chrono::seconds(1));
        return sweeper.stats().orphans.load() == 300;
    }));
    sweeper.stop();
    EXPECT_TRUE(testing::has_logged("sweep: deleted 0 unpublished files and 300 orphans"));
    EXPECT_FALSE(testing::has_logged("no job points to it"));
    EXPECT_TRUE(std::filesystem::exists(path(key)));
}

}  // namespace
}  // namespace export_worker::exports
