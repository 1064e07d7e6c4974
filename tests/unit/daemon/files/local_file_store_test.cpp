#include "daemon/files/local_file_store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/support/syncs.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::files {
namespace {

using testing::TempDir;

std::unique_ptr<LocalFileStore> open_store(const std::string& root) {
    return std::move(*LocalFileStore::open(root));
}

TEST(LocalFileStore, AFileAppearsOnlyWhenCommitted) {
    const TempDir dir;
    const auto store = open_store(dir / "x y/");
    auto file = store->create({"acme/1.csv", "text/csv", 0});
    ASSERT_TRUE(file);
    const std::string text = "hello " + std::string(2 * limits::kFileWriteBufferBytes, 'x');
    ASSERT_TRUE((*file)->append("hello "));
    ASSERT_TRUE((*file)->append(std::string_view(text).substr(6)));
    EXPECT_FALSE(std::filesystem::exists(dir / "x y/acme/1.csv"));
    EXPECT_TRUE(std::filesystem::exists(dir / "x y/acme/1.csv.part"));
    const auto receipt = (*file)->commit();
    ASSERT_TRUE(receipt);
    EXPECT_EQ(testing::read_text(dir / "x y/acme/1.csv"), text);
    EXPECT_EQ(receipt->bytes, text.size());
    EXPECT_EQ(receipt->sha256, to_hex(crypto::sha256(text)));
    EXPECT_EQ(receipt->file_url, "file://" + dir.path() + "/x%20y/acme/1.csv");
    EXPECT_FALSE(std::filesystem::exists(dir / "x y/acme/1.csv.part"));
}

TEST(LocalFileStore, SyncsAFileBeforeItAppearsAndItsDirectoryAfterEveryChange) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    auto file = store->create({"acme/1.csv", "text/csv", 0});
    ASSERT_TRUE((*file)->append("hello"));
    {
        const testing::Syncs syncs;
        ASSERT_TRUE((*file)->commit());
        EXPECT_EQ(syncs.paths(),
                  (std::vector<std::string>{dir / "x/acme/1.csv.part", dir / "x/acme"}));
    }
    const testing::Syncs syncs;
    ASSERT_TRUE(*store->remove("acme/1.csv"));
    EXPECT_EQ(syncs.paths(), std::vector<std::string>{dir / "x/acme"});
}

// The shim reads them by its group; nobody else on the machine may.
TEST(LocalFileStore, OthersMayNotReadWhatIsExported) {
    for (const mode_t umask : {0000U, 0022U, 0077U}) {  // The store itself says who may.
        const TempDir dir;
        const mode_t before = ::umask(umask);
        const auto store = open_store(dir / "x");
        auto file = store->create({"acme/1.csv", "text/csv", 0});
        ASSERT_TRUE((*file)->commit());
        ::umask(before);
        const auto mode = [&](const std::string& path) {
            struct stat info {};
            EXPECT_EQ(::stat(path.c_str(), &info), 0) << path;
            return info.st_mode & 0777U;
        };
        EXPECT_EQ(mode(dir / "x/acme/1.csv"), 0640U) << umask;
        EXPECT_EQ(mode(dir / "x/acme"), 0750U) << umask;
        EXPECT_EQ(mode(dir / "x"), 0750U) << umask;
    }
}

TEST(LocalFileStore, AnAbandonedFileLeavesNothing) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    { ASSERT_TRUE(store->create({"acme/1.csv", "text/csv", 0})); }
    EXPECT_TRUE(std::filesystem::is_empty(dir / "x/acme"));
}

TEST(LocalFileStore, OpenSweepsPartsAndOnlyThose) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "x/acme");
    dir.write("x/acme/1.csv.part", "half");
    dir.write("x/acme/2.csv", "whole");
    const auto store = open_store(dir / "x");
    EXPECT_EQ(store->parts_swept(), 1U);
    EXPECT_FALSE(std::filesystem::exists(dir / "x/acme/1.csv.part"));
    EXPECT_TRUE(std::filesystem::exists(dir / "x/acme/2.csv"));
}

TEST(LocalFileStore, NeverReplacesAFile) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    auto file = store->create({"acme/1.csv", "text/csv", 0});
    dir.write("x/acme/1.csv", "precious");
    EXPECT_FALSE((*file)->commit());
    EXPECT_EQ(testing::read_text(dir / "x/acme/1.csv"), "precious");
}

TEST(LocalFileStore, RefusesKeysThatLeaveTheRoot) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    for (const char* bad : {"", "/etc/passwd", "../x", "a/../../b", "a/./b"}) {
        EXPECT_EQ(store->create({bad, "text/csv", 0}).error().code, ErrorCode::kInvalidArgument)
            << bad;
        EXPECT_FALSE(store->remove(bad)) << bad;
    }
    EXPECT_FALSE(LocalFileStore::open("relative"));
}

// What is not mounted is not lost: fsck would withdraw every file.
TEST(LocalFileStore, AStoreWithoutItsRootSaysNothingAboutItsFiles) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    EXPECT_FALSE(store->inspect("a/1", true)->has_value());
    std::filesystem::remove_all(dir / "x");
    const auto inspected = store->inspect("a/1", true);
    ASSERT_FALSE(inspected);
    EXPECT_EQ(inspected.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(inspected.error().message.find("mount it"), std::string::npos);
}

TEST(LocalFileStore, RemoveSaysWhetherThereWasOne) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    {
        auto file = store->create({"a/1", "text/csv", 0});
        ASSERT_TRUE((*file)->commit());
    }
    EXPECT_TRUE(*store->remove("a/1"));
    EXPECT_FALSE(*store->remove("a/1"));
}

TEST(LocalFileStore, ListsFinishedFilesOnly) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    for (const char* key : {"a/1.csv", "b/2.csv"}) {
        auto file = store->create({key, "text/csv", 0});
        ASSERT_TRUE((*file)->commit());
    }
    const auto half = store->create({"a/3.csv", "text/csv", 0});
    std::vector<std::string> keys;
    ASSERT_TRUE(store->list([&](const ListedFile& file) -> Result<void> {
        keys.push_back(file.key);
        EXPECT_GT(file.modified_unix_s, 1'700'000'000);
        return {};
    }));
    std::ranges::sort(keys);
    EXPECT_EQ(keys, (std::vector<std::string>{"a/1.csv", "b/2.csv"}));
}

class SharedRootTest : public ::testing::Test {
protected:
    std::unique_ptr<LocalFileStore> open() {
        auto store = LocalFileStore::open(
            dir_ / "x", {.registry_id = "id", .published = {}, .is_shared = true});
        EXPECT_TRUE(store) << store.error().message;
        return std::move(*store);
    }
    static std::vector<std::string> listed(LocalFileStore& store) {
        std::vector<std::string> keys;
        EXPECT_TRUE(store.list([&](const ListedFile& file) -> Result<void> {
            keys.push_back(file.key);
            return {};
        }));
        return keys;
    }
    const TempDir dir_;
};

TEST_F(SharedRootTest, OpenLeavesWhatOtherDaemonsAreWriting) {
    const auto writing = open();
    auto file = writing->create({"a/1.csv", "text/csv", 0});
    ASSERT_TRUE((*file)->append("x"));
    const auto another = open();
    EXPECT_EQ(another->parts_swept(), 0U);
    const auto published = (*file)->commit();
    EXPECT_TRUE(published) << published.error().message;
}

TEST_F(SharedRootTest, WhatADeadDaemonWasWritingIsListedAndRemovedUnderItsKey) {
    const auto store = open();
    const auto half = store->create({"a/1.csv", "text/csv", 0});
    EXPECT_EQ(listed(*store), std::vector<std::string>{"a/1.csv"});
    EXPECT_TRUE(*store->remove("a/1.csv"));
    EXPECT_FALSE(*store->remove("a/1.csv"));
    EXPECT_EQ(listed(*store), std::vector<std::string>{});
    EXPECT_FALSE((*half)->commit()) << "a writer that wakes up publishes nothing";
}

// An empty mount point, or the volume of another service.
TEST(LocalFileStore, ARootWithoutTheMarkOfItsOwnerIsAway) {
    const TempDir dir;
    const RootOwner owner{"0123456789abcdef", {"acme/1.csv", "acme/2.csv"}};
    std::filesystem::create_directory(dir / "x");
    dir.write("x/half.part", "of another service");
    const auto store = std::move(*LocalFileStore::open(dir / "x", owner));
    const std::string mark = dir / "x/.export-worker-0123456789abcdef";
    EXPECT_NE(store->problem().find("touch " + mark), std::string::npos) << store->problem();
    EXPECT_EQ(store->inspect("acme/1.csv", false).error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(store->remove("acme/1.csv").error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(store->create({"acme/3.csv", "text/csv", 0}).error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(store->list([](const ListedFile&) { return Result<void>(); }).error().code,
              ErrorCode::kUnavailable);
    EXPECT_TRUE(std::filesystem::exists(dir / "x/half.part"));
    EXPECT_FALSE(std::filesystem::exists(dir / "x/acme"));
    dir.write("x/.export-worker-0123456789abcdef", "");
    EXPECT_EQ(store->problem(), "");
    EXPECT_FALSE(store->inspect("acme/1.csv", false)->has_value());
}

TEST(LocalFileStore, AMissingRootWithPublishedFilesIsNotMade) {
    const TempDir dir;
    const auto store = std::move(*LocalFileStore::open(dir / "x", {"id", {"acme/1.csv"}}));
    EXPECT_NE(store->problem().find("mount it"), std::string::npos);
    EXPECT_FALSE(store->create({"acme/3.csv", "text/csv", 0}));
    EXPECT_FALSE(std::filesystem::exists(dir / "x"));
}

TEST(LocalFileStore, ARootIsMarkedAtItsFirstUseAndWhenItHasTheFiles) {
    const TempDir dir;
    EXPECT_EQ((*LocalFileStore::open(dir / "new", {"id", {}}))->problem(), "");
    EXPECT_TRUE(std::filesystem::exists(dir / "new/.export-worker-id"));
    std::filesystem::create_directories(dir / "copied/acme");
    for (const char* file : {"copied/acme/1.csv", "copied/acme/2.csv"}) dir.write(file, "x");
    const auto copied =
        std::move(*LocalFileStore::open(dir / "copied", {"id", {"acme/1.csv", "acme/2.csv"}}));
    EXPECT_EQ(copied->problem(), "");
    EXPECT_TRUE(std::filesystem::exists(dir / "copied/.export-worker-id"));
    std::size_t listed = 0;
    ASSERT_TRUE(copied->list([&](const ListedFile&) -> Result<void> {
        ++listed;
        return {};
    }));
    EXPECT_EQ(listed, 2U) << "the mark is no file";
}

// A copy of one file lies in a volume that is not the store.
TEST(LocalFileStore, AStrayFileDoesNotMakeARoot) {
    const TempDir dir;
    RootOwner owner{"id", {}};
    std::filesystem::create_directories(dir / "x/acme");
    for (int each = 0; each < 20; ++each) {
        owner.published.push_back("acme/" + std::to_string(each) + ".csv");
        if (each < 17) dir.write("x/" + owner.published.back(), "x");
    }
    EXPECT_FALSE(is_root_of(dir / "x", owner)) << "17 of 20";
    dir.write("x/" + owner.published[17], "x");
    EXPECT_TRUE(is_root_of(dir / "x", owner)) << "18 of 20";
}

TEST(LocalFileStore, ARootWithTheMarkOfAnotherRegistryIsAway) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "x/acme");
    dir.write("x/acme/1.csv", "x");
    dir.write("x/.export-worker-other", "");
    for (const RootOwner& owner : {RootOwner{"id", {}}, RootOwner{"id", {"acme/1.csv"}}}) {
        const auto store = std::move(*LocalFileStore::open(dir / "x", owner));
        EXPECT_NE(store->problem().find("has the mark of another registry (other)"),
                  std::string::npos)
            << store->problem();
        EXPECT_FALSE(std::filesystem::exists(dir / "x/.export-worker-id"));
    }
    // An operator has said that this one takes it over.
    dir.write("x/.export-worker-id", "");
    EXPECT_EQ((*LocalFileStore::open(dir / "x", {"id", {}}))->problem(), "");
}

TEST(LocalFileStore, OnlyARegularFileIsAMark) {
    const TempDir dir;
    const std::string mark = dir / "x/.export-worker-id";
    std::filesystem::create_directories(mark);
    const auto store = std::move(*LocalFileStore::open(dir / "x", {"id", {}}));
    EXPECT_NE(store->problem().find("expected a regular file, found something else"),
              std::string::npos)
        << store->problem();
    std::filesystem::remove(mark);
    ASSERT_EQ(::mkfifo(mark.c_str(), 0600), 0);
    EXPECT_NE(store->problem(), "");
    std::filesystem::remove(mark);
    dir.write("elsewhere", "");
    std::filesystem::create_symlink(dir / "elsewhere", mark);
    EXPECT_NE(store->problem(), "");
    std::filesystem::remove(mark);
    dir.write("x/.export-worker-id", "");
    EXPECT_EQ(store->problem(), "");
}

TEST(LocalFileStore, ARootThatCannotBeWrittenIsToBeMadeWritableFirst) {
    const TempDir dir;
    std::filesystem::create_directory(dir / "x");
    for (const std::string& path : {dir.path(), dir / "x"})
        std::filesystem::permissions(path, std::filesystem::perms(0555));
    const RootOwner owner{"id", {"acme/1.csv"}};
    const bool is_root = ::geteuid() == 0;  // Who may write everywhere.
    if (is_root) {
        ASSERT_EQ(::seteuid(65534), 0);
    }
    const std::string problem = root_problem(dir / "x", owner);
    if (is_root) {
        ASSERT_EQ(::seteuid(0), 0);
    }
    EXPECT_NE(problem.find("make it writable (mount -o remount,rw"), std::string::npos) << problem;
    for (const std::string& path : {dir.path(), dir / "x"})
        std::filesystem::permissions(path, std::filesystem::perms(0755));
    EXPECT_NE(root_problem(dir / "x", owner).find("gone for good: touch "), std::string::npos);
}

TEST(LocalFileStore, ALoopOfSymbolicLinksIsNotToBeMounted) {
    const TempDir dir;
    const auto store = open_store(dir / "x");
    std::filesystem::remove_all(dir / "x");
    std::filesystem::create_symlink(dir / "x", dir / "x");
    EXPECT_NE(store->problem().find("correct the symbolic link"), std::string::npos)
        << store->problem();
}

TEST(LocalFileStore, ARootThatOthersMayWriteIsRefused) {
    const TempDir dir;
    for (const unsigned mode : {0777U, 01777U, 0770U}) {
        std::filesystem::create_directories(dir / "x");
        std::filesystem::permissions(dir / "x", std::filesystem::perms(mode));
        EXPECT_EQ(LocalFileStore::open(dir / "x").error().code, ErrorCode::kFailedPrecondition);
    }
}

}  // namespace
}  // namespace export_worker::files
