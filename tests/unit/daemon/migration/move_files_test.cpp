#include "daemon/migration/move_files.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/json.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "tests/unit/support/postgres_server.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::migration {
namespace {

using model::OrganizationScope;

// The new store is a directory, too: what it is does not matter here.
class MoveFiles : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        auto joined =
            cluster::Membership::join({.database = options_, .name = "test"}, system_clock());
        ASSERT_TRUE(joined) << joined.error().message;
        membership_ = std::move(*joined);
        jobs::JobPolicy policy;
        policy.organization_running_max = 100;
        jobs_ = std::move(
            *jobs::open_postgres_job_store({options_}, *membership_, system_clock(), policy));
        std::filesystem::create_directories(dir_.path() + "/old/acme");
        to_ = std::move(*files::LocalFileStore::open(dir_.path() + "/new"));
    }
    // A finished job whose file has these bytes; its id.
    std::string finish(const std::string& bytes) {
        jobs::NewJob job;
        job.organization_id = "acme";
        job.job_type = model::kExportJobType;
        EXPECT_TRUE(jobs_->requests().create(job));
        const auto claimed = jobs_->queue().claim();
        EXPECT_TRUE(claimed && *claimed);
        const model::Lease lease = (*claimed)->lease;
        jobs::Completion done;
        done.file = {"acme/" + lease.job_id + ".1-00000000.csv", "file://" + path_of(lease.job_id),
                     bytes.size(), to_hex(crypto::sha256(bytes))};
        done.filename = "products.csv";
        done.metadata_json = R"({"content_type": "text/csv"})";
        std::ofstream(path_of(lease.job_id)) << bytes;
        EXPECT_TRUE(jobs_->queue().intend_file(lease, done.file.key));
        EXPECT_TRUE(jobs_->queue().complete(lease, done));
        return lease.job_id;
    }
    std::string path_of(const std::string& job_id) const {
        return dir_.path() + "/old/acme/" + job_id + ".1-00000000.csv";
    }
    std::string url_of(const std::string& job_id) {
        const auto job = jobs_->reader().find(OrganizationScope::every(), job_id);
        EXPECT_TRUE(job);
        const std::string in_metadata = parse_json(job->metadata_json)["file_url"];
        model::JobFile file;
        EXPECT_TRUE(jobs_->reader().find_file(OrganizationScope::every(), job_id, file));
        EXPECT_EQ(file.file_url, in_metadata);
        return file.file_url;
    }
    Result<FilesReport> move() {
        return move_files(options_, *to_, [](const FilesReport&) {});
    }

    const testing::TempDir dir_;
    std::unique_ptr<cluster::Membership> membership_;
    std::unique_ptr<jobs::JobStore> jobs_;
    std::unique_ptr<files::FileStore> to_;
};

TEST_F(MoveFiles, JobsNameTheNewPlaceAndTheOldFilesStay) {
    const std::string first = finish("one");
    const std::string second = finish(std::string(700'000, 'x'));
    const auto moved = move();
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(moved->files, 2);
    EXPECT_EQ(moved->bytes, 700'003);
    EXPECT_EQ(moved->left, 0);
    for (const std::string& job : {first, second}) {
        EXPECT_TRUE(url_of(job).starts_with("file://" + dir_.path() + "/new/acme/")) << url_of(job);
        EXPECT_TRUE(std::filesystem::exists(path_of(job)));
    }
}

TEST_F(MoveFiles, ADamagedOrMissingFileIsLeftWithItsReason) {
    const std::string damaged = finish("one");
    const std::string missing = finish("two");
    const std::string good = finish("three");
    std::ofstream(path_of(damaged)) << "two";
    std::filesystem::remove(path_of(missing));
    const auto moved = move();
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(moved->files, 1);
    ASSERT_EQ(moved->left, 2);
    ASSERT_EQ(moved->listed.size(), 2U);
    EXPECT_NE(moved->listed[0].reason.find("expected the SHA-256"), std::string::npos);
    EXPECT_NE(moved->listed[1].reason.find("open "), std::string::npos);
    EXPECT_TRUE(url_of(damaged).starts_with("file://" + dir_.path() + "/old/"));
    EXPECT_TRUE(url_of(good).starts_with("file://" + dir_.path() + "/new/"));
    EXPECT_FALSE(to_->inspect("acme/" + damaged + ".1-00000000.csv", false)->has_value());
}

TEST_F(MoveFiles, WithdrawnFilesAreNotMoved) {
    const std::string job = finish("one");
    ASSERT_TRUE(jobs_->files().withdraw_file("acme/" + job + ".1-00000000.csv", "lost"));
    const auto moved = move();
    ASSERT_TRUE(moved) << moved.error().message;
    EXPECT_EQ(moved->files + moved->left, 0);
}

}  // namespace
}  // namespace export_worker::migration
