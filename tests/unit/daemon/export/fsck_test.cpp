#include "daemon/export/fsck.hpp"

#include <gtest/gtest.h>

#include <map>

#include "daemon/export/limits.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::exports {
namespace {

using model::OrganizationScope;

class FsckTest : public ::testing::Test {
protected:
    struct Published {
        std::string job_id;
        std::string key;
    };
    struct Attempt {
        model::Lease lease;
        std::string key;
    };
    // A job that is running and has said which file it writes.
    Attempt begin_attempt() {
        jobs::NewJob job;
        job.organization_id = "acme";
        job.job_type = model::kExportJobType;
        EXPECT_TRUE(jobs_->requests().create(job));
        const model::Lease lease = (*jobs_->queue().claim())->lease;
        Attempt out{lease, "acme/" + lease.job_id + ".1.csv"};
        EXPECT_TRUE(jobs_->queue().intend_file(lease, out.key));
        return out;
    }
    // A finished job with a file of five bytes.
    Published publish() {
        const auto [lease, key] = begin_attempt();
        auto file = std::move(*files_->create({key, "text/csv", 0}));
        EXPECT_TRUE(file->append("key\r\n"));
        jobs::Completion done;
        done.file = *file->commit();
        done.metadata_json = "{}";
        EXPECT_TRUE(jobs_->queue().complete(lease, done));
        return {lease.job_id, key};
    }
    std::string path(const std::string& key) const { return dir_ / ("exports/" + key); }
    void overwrite(const std::string& key, const std::string& text) const {
        std::filesystem::create_directories(std::filesystem::path(path(key)).parent_path());
        std::ofstream(path(key), std::ios::binary) << text;
    }
    Result<FsckReport> try_check() {
        return check_exports(deps_, options_, stopping_, [this](const FsckReport&) { ++calls_; });
    }
    FsckReport check(bool apply = false) {
        options_.apply = apply;
        auto report = try_check();
        EXPECT_TRUE(report) << report.error().message;
        return report ? std::move(*report) : FsckReport();
    }
    // Files are as old as the real clock says.
    void make_old() {
        clock_.advance(std::chrono::microseconds(system_clock().unix_us() - clock_.unix_us()) +
                       options_.orphan_grace + std::chrono::seconds(2));
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<jobs::JobStore> jobs_ =
        std::move(*jobs::open_sqlite_job_store(dir_ / "jobs.db", clock_));
    std::unique_ptr<files::LocalFileStore> files_ =
        std::move(*files::LocalFileStore::open(dir_ / "exports"));
    ExportDeps deps_{&clock_, jobs_.get(), nullptr, files_.get(), dir_ / "tmp", "test", {}};
    FsckOptions options_;
    std::atomic<bool> stopping_{false};
    int calls_ = 0;
};

TEST_F(FsckTest, WhatAgreesIsNoProblem) {
    publish();
    publish();
    const FsckReport report = check(true);
    EXPECT_EQ(report.files, 2);
    EXPECT_EQ(report.hashed_bytes, 10);
    EXPECT_EQ(report.problems, 0);
    EXPECT_EQ(report.foreign, 0);
    EXPECT_GE(calls_, 1);
}

TEST_F(FsckTest, AMissingFileIsFoundAndLeftAlone) {
    const auto [id, key] = publish();
    std::filesystem::remove(path(key));
    const FsckReport report = check();
    ASSERT_EQ(report.listed.size(), 1U);
    EXPECT_EQ(report.listed[0].problem, "missing");
    EXPECT_EQ(report.listed[0].key, key);
    EXPECT_EQ(report.listed[0].job_id, id);
    EXPECT_FALSE(report.listed[0].repaired);
    EXPECT_EQ(report.repaired, 0);
    model::JobFile file;
    ASSERT_TRUE(jobs_->reader().find_file(OrganizationScope::every(), id, file));
    EXPECT_FALSE(file.file_url.empty());
}

TEST_F(FsckTest, ApplyWithdrawsAMissingFile) {
    const auto [id, key] = publish();
    std::filesystem::remove(path(key));
    EXPECT_EQ(check(true).repaired, 1);
    model::JobFile file;
    ASSERT_TRUE(jobs_->reader().find_file(OrganizationScope::every(), id, file));
    EXPECT_TRUE(file.file_url.empty());
    const auto notices = jobs_->reader().notices(OrganizationScope::one("acme"), 0);
    EXPECT_EQ(notices->items.back().type, "job.expired");
    EXPECT_EQ(check().problems, 0);
}

TEST_F(FsckTest, AnotherSizeIsDamage) {
    const auto [id, key] = publish();
    overwrite(key, "key");
    options_.hashes = false;
    const FsckReport report = check();
    ASSERT_EQ(report.listed.size(), 1U);
    EXPECT_EQ(report.listed[0].problem, "damaged");
    EXPECT_EQ(report.listed[0].detail, "expected 5 bytes, found 3");
}

TEST_F(FsckTest, AnotherContentIsDamageAndApplyDeletesItOnceItsLinksHaveEnded) {
    const auto [id, key] = publish();
    ASSERT_TRUE(jobs_->files().set_link_lifetime(std::chrono::seconds(900)));
    overwrite(key, "KEY\r\n");
    const FsckReport report = check(true);
    ASSERT_EQ(report.listed.size(), 1U);
    EXPECT_EQ(report.listed[0].problem, "damaged");
    EXPECT_NE(report.listed[0].detail.find("SHA-256"), std::string::npos);
    EXPECT_EQ(report.repaired, 1);
    model::JobFile file;
    ASSERT_TRUE(jobs_->reader().find_file(OrganizationScope::every(), id, file));
    EXPECT_TRUE(file.file_url.empty());
    make_old();
    EXPECT_EQ(check(true).problems, 0);
    EXPECT_TRUE(std::filesystem::exists(path(key)));
    clock_.advance(std::chrono::seconds(900) + limits::kFileDeletionMargin);
    std::size_t deleted = 0;
    ASSERT_TRUE(drop_withdrawn(deps_, stopping_, deleted));
    EXPECT_EQ(deleted, 1U);
    EXPECT_FALSE(std::filesystem::exists(path(key)));
}

TEST_F(FsckTest, WithoutHashesContentIsNotRead) {
    const auto [id, key] = publish();
    overwrite(key, "KEY\r\n");
    options_.hashes = false;
    const FsckReport report = check();
    EXPECT_EQ(report.problems, 0);
    EXPECT_EQ(report.hashed_bytes, 0);
}

TEST_F(FsckTest, WhatAnAttemptLeftIsUnpublished) {
    const auto [lease, key] = begin_attempt();
    overwrite(key, "half");
    EXPECT_EQ(check().problems, 0);  // It is being written.
    ASSERT_TRUE(jobs_->queue().release(lease));
    EXPECT_EQ(check().listed.at(0).problem, "unpublished");
    EXPECT_EQ(check(true).repaired, 1);
    EXPECT_FALSE(std::filesystem::exists(path(key)));
    EXPECT_EQ(check().problems, 0);
}

// As when the store was away.
TEST_F(FsckTest, AFileThatAnAttemptNamedAndNeverBeganIsNoProblem) {
    const auto [lease, key] = begin_attempt();
    ASSERT_TRUE(jobs_->queue().release(lease));
    EXPECT_EQ(check().problems, 0);
    std::filesystem::remove_all(dir_ / "exports");
    const auto away = try_check();
    ASSERT_FALSE(away);
    EXPECT_EQ(away.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(away.error().message.find("mount it"), std::string::npos) << away.error().message;
}

TEST_F(FsckTest, AnOrphanIsFoundOnceItsGraceIsOver) {
    const auto [id, key] = publish();
    const std::string orphan = "acme/" + id + ".7.csv";
    overwrite(orphan, "late");
    clock_.advance(std::chrono::microseconds(system_clock().unix_us() - clock_.unix_us()));
    EXPECT_EQ(check().problems, 0);
    make_old();
    EXPECT_EQ(check().listed.at(0).problem, "orphan");
    EXPECT_TRUE(std::filesystem::exists(path(orphan)));
    EXPECT_EQ(check(true).repaired, 1);
    EXPECT_FALSE(std::filesystem::exists(path(orphan)));
    EXPECT_TRUE(std::filesystem::exists(path(key)));
}

TEST_F(FsckTest, FilesOfOthersAreCountedAndLeftAlone) {
    const std::string key = publish().key;
    for (const char* foreign : {"acme/unknown.1.csv", "acme/notes.txt", "acme/..1.csv", "lost"})
        overwrite(foreign, "x");
    make_old();
    const FsckReport report = check(true);
    EXPECT_EQ(report.problems, 0);
    EXPECT_EQ(report.foreign, 4);
    for (const char* foreign : {"acme/unknown.1.csv", "acme/notes.txt", "acme/..1.csv", "lost"})
        EXPECT_TRUE(std::filesystem::exists(path(foreign))) << foreign;
    EXPECT_TRUE(std::filesystem::exists(path(key)));
}

TEST_F(FsckTest, AllProblemsAreCountedAndTheFirstShown) {
    const std::string id = publish().job_id;
    for (std::size_t epoch = 2; epoch < limits::kFsckProblemsMax + 7; ++epoch)
        overwrite("acme/" + id + "." + std::to_string(epoch) + ".csv", "");
    make_old();
    const FsckReport report = check();
    EXPECT_EQ(report.problems, static_cast<std::int64_t>(limits::kFsckProblemsMax) + 5);
    EXPECT_EQ(report.listed.size(), limits::kFsckProblemsMax);
}

TEST_F(FsckTest, AStoppingDaemonEndsIt) {
    publish();
    stopping_ = true;
    const auto report = try_check();
    ASSERT_FALSE(report);
    EXPECT_EQ(report.error().code, ErrorCode::kUnavailable);
}

TEST_F(FsckTest, AStoreThatCannotBeReadIsAnError) {
    publish();
    std::filesystem::remove_all(dir_ / "exports");
    dir_.write("exports", "a file where the directory was");
    EXPECT_FALSE(try_check());
}

TEST_F(FsckTest, AJobThatCannotBeReadIsAnError) {
    publish();
    testing::damage_table(dir_ / "jobs.db", "job_entry");
    const auto refused = try_check();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kDataLoss);
}

TEST_F(FsckTest, WhatIsNoFileIsUnreadableAndTheRestIsJudged) {
    const std::string link = publish().key;
    const std::string directory = publish().key;
    const std::string changed = publish().key;
    std::filesystem::remove(path(link));
    std::filesystem::create_symlink(dir_ / "elsewhere", path(link));
    std::filesystem::remove(path(directory));
    std::filesystem::create_directory(path(directory));
    overwrite(changed, "KEY\r\n");
    for (const bool hashes : {false, true}) {
        options_.hashes = hashes;
        options_.apply = hashes;
        const auto report = try_check();
        ASSERT_TRUE(report) << report.error().message;
        std::map<std::string, std::string> details;
        for (const FsckProblem& problem : report->listed) {
            if (problem.problem != "unreadable") continue;
            EXPECT_FALSE(problem.repaired);
            details[problem.key] = problem.detail;
        }
        EXPECT_EQ(details.size(), 2U);
        EXPECT_TRUE(details[link].ends_with("expected a regular file, found a symbolic link"));
        EXPECT_TRUE(details[directory].ends_with("expected a regular file, found a directory"));
        EXPECT_EQ(report->problems, hashes ? 3 : 2);
        EXPECT_EQ(report->repaired, hashes ? 1 : 0);
    }
    EXPECT_TRUE(std::filesystem::is_symlink(path(link)));
    EXPECT_TRUE(std::filesystem::is_directory(path(directory)));
    clock_.advance(limits::kFileDeletionMargin);
    EXPECT_EQ(*jobs_->files().deletable_files(), std::vector<model::FileKey>{changed});
}

TEST_F(FsckTest, WhatCannotBeDeletedIsNotRepairedAndTheRestIs) {
    const auto [lease, key] = begin_attempt();
    ASSERT_TRUE(jobs_->queue().release(lease));
    std::filesystem::create_directories(path(key));
    const std::string orphan = "acme/" + lease.job_id + ".7.csv";
    overwrite(orphan, "late");
    make_old();
    const FsckReport report = check(true);
    ASSERT_EQ(report.listed.size(), 2U);
    EXPECT_FALSE(report.listed[0].repaired);
    EXPECT_NE(report.listed[0].detail.find("not deleted: "), std::string::npos);
    EXPECT_TRUE(report.listed[1].repaired);
    EXPECT_FALSE(std::filesystem::exists(path(orphan)));
}

TEST_F(FsckTest, AnErrorComesAfterWhatWasDone) {
    const std::string key = publish().key;
    std::filesystem::remove(path(key));
    std::filesystem::remove_all(dir_ / "exports");
    dir_.write("exports", "a file where the directory was");
    std::int64_t problems = 0;
    const auto report = check_exports(
        deps_, options_, stopping_, [&](const FsckReport& so_far) { problems = so_far.problems; });
    EXPECT_FALSE(report);
    EXPECT_EQ(problems, 1);
}

// The wrong store, or one that has lost a volume.
TEST_F(FsckTest, MoreLostFilesThanTheBoundChangeNothing) {
    std::vector<std::string> keys;
    for (std::int64_t index = 0; index <= limits::kFsckWithdrawnMin; ++index)
        keys.push_back(publish().key);
    for (const std::string& key : keys) std::filesystem::remove(path(key));
    options_.apply = true;
    FsckReport last;
    const auto refused =
        check_exports(deps_, options_, stopping_, [&](const FsckReport& so_far) { last = so_far; });
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(refused.error().message.find("--max-withdrawn 11"), std::string::npos)
        << refused.error().message;
    EXPECT_EQ(last.problems, 11);
    EXPECT_EQ(last.repaired, 0);
    EXPECT_EQ(check().problems, 11);
    options_.max_withdrawn = 11;
    EXPECT_EQ(check(true).repaired, 11);
    EXPECT_EQ(check().files, 0);
}

TEST_F(FsckTest, TheBoundMayBeNone) {
    std::filesystem::remove(path(publish().key));
    options_.apply = true;
    options_.max_withdrawn = 0;
    EXPECT_FALSE(try_check());
    EXPECT_EQ(check().problems, 1);
}

}  // namespace
}  // namespace export_worker::exports
