#include "daemon/plugins/staging/artifact_store.hpp"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/syncs.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

class ArtifactStoreTest : public ::testing::Test {
protected:
    const testing::TempDir dir_;
    const std::string kept_ = dir_ / "plugins/artifacts";
    ArtifactStore store_ = std::move(*ArtifactStore::open(dir_ / "plugins"));
};

// A crash after the reload must not find half a file under the hash of the whole one.
TEST_F(ArtifactStoreTest, SyncsAFileBeforeItHasItsNameAndTheDirectoryAfterwards) {
    const std::string source = dir_.write("p.so", "the plugin");
    const testing::Syncs syncs;
    const auto taken = store_.take_in(source);
    ASSERT_TRUE(taken) << to_text(taken.error());
    EXPECT_EQ(taken->sha256, to_hex(crypto::sha256("the plugin")));
    EXPECT_EQ(syncs.paths(), (std::vector<std::string>{kept_ + "/taking-in.part", kept_}));
    EXPECT_EQ(testing::read_text(kept_ + "/" + taken->sha256 + ".so"), "the plugin");
}

TEST_F(ArtifactStoreTest, AKeptFileThatTheDiskHasChangedIsRefused) {
    const auto taken = store_.take_in(dir_.write("p.so", "the plugin"));
    ASSERT_TRUE(taken);
    EXPECT_EQ(store_.find(taken->sha256)->bytes, "the plugin");
    const std::string path = kept_ + "/" + taken->sha256 + ".so";
    std::filesystem::permissions(path, std::filesystem::perms(0600));
    std::ofstream(path) << "the plugim";
    const auto changed = store_.find(taken->sha256);
    ASSERT_FALSE(changed);
    EXPECT_EQ(changed.error().code, "io");
    EXPECT_EQ(changed.error().found, "bytes with hash " + to_hex(crypto::sha256("the plugim")));
}

TEST_F(ArtifactStoreTest, AFileOverTheBoundIsRefusedAndLeavesNothing) {
    const std::string source = dir_.write("p.so", "");
    std::filesystem::resize_file(source, 64 * 1024 * 1024 + 1);
    const auto refused = store_.take_in(source);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "size");
    EXPECT_TRUE(std::filesystem::is_empty(kept_));
}

TEST_F(ArtifactStoreTest, ACopyThatDoesNotFitLeavesNothing) {
    const auto taken = store_.take_in(dir_.write("p.so", std::string(20'000, 'p')));
    ASSERT_TRUE(taken);
    {
        const testing::ResourceLimit bound(RLIMIT_FSIZE, 4'096);
        const auto refused = store_.make_live_copy(*taken);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, "io");
        EXPECT_NE(refused.error().found.find("File too large"), std::string::npos)
            << refused.error().found;
    }
    EXPECT_TRUE(std::filesystem::is_empty(dir_ / "plugins/live"));
}

TEST_F(ArtifactStoreTest, WhatCannotBeSweptIsNamed) {
    std::filesystem::create_directories(dir_ / "plugins/live/directory");
    const auto refused = ArtifactStore::open(dir_ / "plugins");
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("delete " + (dir_ / "plugins/live/directory")),
              std::string::npos)
        << refused.error().message;
}

}  // namespace
}  // namespace export_worker::plugins
