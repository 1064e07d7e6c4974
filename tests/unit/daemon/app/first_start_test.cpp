#include "daemon/app/first_start.hpp"

#include <gtest/gtest.h>

#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::app {
namespace {

namespace fs = std::filesystem;

class FirstStartTest : public ::testing::Test {
protected:
    void SetUp() override {
        fs::create_directory(config_.state_dir);
        fs::create_directory(root_);
        config_.exports.workers = 1;
        config_.exports.store = "local";
        model::StoreSettings store;
        store.name = "local";
        store.kind = "local";
        store.values = {{"root", root_}};
        config_.stores.push_back(std::move(store));
    }
    void make_databases() {
        ASSERT_TRUE(begin_first_start(config_));
        ASSERT_TRUE(fs::exists(word_));
        ASSERT_TRUE(auth::open_sqlite_auth_store(config_.state_dir + "/auth.db"));
        ASSERT_TRUE(jobs::open_sqlite_job_store(config_.state_dir + "/jobs.db", clock_));
        ASSERT_TRUE(catalog::open_sqlite_catalog_store(config_.state_dir + "/catalog.db", clock_));
        ASSERT_TRUE(end_first_start(config_.state_dir));
        ASSERT_FALSE(fs::exists(word_));
    }
    // "found ..., ..." of the refusal; empty: there is none.
    std::string refusal() {
        const auto checked = check_first_start(config_);
        const auto begun = begin_first_start(config_);
        EXPECT_EQ(checked.has_value(), begun.has_value());
        if (checked) return {};
        EXPECT_EQ(checked.error().message, begun.error().message);
        EXPECT_EQ(checked.error().code, expected_code_);
        EXPECT_FALSE(fs::exists(word_));
        return checked.error().message;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    config::Config config_ = [this] {
        config::Config out;
        out.state_dir = dir_ / "state";
        return out;
    }();
    const std::string root_ = dir_ / "root";
    const std::string word_ = config_.state_dir + "/new-databases";
    ErrorCode expected_code_ = ErrorCode::kFailedPrecondition;
};

// An operator who sets kind = postgres must not find an empty registry.
TEST_F(FirstStartTest, DatabasesBesideASharedOneWereMovedThereOrAreRefused) {
    make_databases();
    config_.database.is_shared = true;
    EXPECT_NE(refusal().find("found auth.db, jobs.db, catalog.db; move them there"),
              std::string::npos)
        << refusal();
    dir_.write("state/moved-to-postgres", "");
    EXPECT_EQ(refusal(), "");
    config_.database.is_shared = false;
    EXPECT_NE(refusal().find("were moved to PostgreSQL"), std::string::npos) << refusal();
}

TEST_F(FirstStartTest, AStartWithASharedDatabaseMakesNoneHere) {
    config_.database.is_shared = true;
    EXPECT_EQ(refusal(), "");
    EXPECT_FALSE(fs::exists(word_));
}

TEST_F(FirstStartTest, WithAllDatabasesThereIsNothingToSay) {
    make_databases();
    EXPECT_EQ(refusal(), "");
    EXPECT_FALSE(fs::exists(word_));
}

TEST_F(FirstStartTest, AMissingOrEmptyDatabaseIsLost) {
    make_databases();
    for (const char* name : {"auth.db", "jobs.db", "catalog.db"}) {
        const std::string path = config_.state_dir + "/" + name;
        fs::rename(path, dir_ / "kept");
        EXPECT_NE(refusal().find(std::string("found ") + name + " missing"), std::string::npos)
            << refusal();
        dir_.write(std::string("state/") + name, "");
        EXPECT_NE(refusal().find(std::string("found ") + name + " without a table"),
                  std::string::npos)
            << refusal();
        fs::rename(dir_ / "kept", path);
        EXPECT_EQ(refusal(), "");
    }
}

TEST_F(FirstStartTest, WhatCannotBeReadIsLeftToThoseWhoOpenIt) {
    make_databases();
    dir_.write("state/jobs.db", std::string(8192, 'x'));
    EXPECT_EQ(refusal(), "");
}

TEST_F(FirstStartTest, PluginsAloneAreNoNewInstallation) {
    dir_.write("state/plugins.db", "x");
    EXPECT_NE(refusal().find(" missing beside plugins.db;"), std::string::npos) << refusal();
}

TEST_F(FirstStartTest, OnesThatDiedGoOn) {
    ASSERT_TRUE(begin_first_start(config_));
    dir_.write("state/auth.db", "");
    EXPECT_TRUE(check_first_start(config_));
    EXPECT_TRUE(begin_first_start(config_));
    EXPECT_TRUE(fs::exists(word_));
    EXPECT_TRUE(end_first_start(config_.state_dir));
    EXPECT_TRUE(end_first_start(config_.state_dir)) << "nothing to delete";
    EXPECT_NE(refusal(), "");
}

TEST_F(FirstStartTest, ExportsOfARegistrySayThatTheStateIsAway) {
    dir_.write("root/.export-worker-0123", "");
    expected_code_ = ErrorCode::kUnavailable;
    EXPECT_NE(refusal().find("expected the databases of registry 0123"), std::string::npos)
        << refusal();
    config_.exports.workers = 0;
    EXPECT_TRUE(check_first_start(config_)) << "it writes no exports";
    config_.exports.workers = 1;
    dir_.write("state/new-databases", "");
    EXPECT_TRUE(check_first_start(config_)) << "the operator's word";
}

}  // namespace
}  // namespace export_worker::app
