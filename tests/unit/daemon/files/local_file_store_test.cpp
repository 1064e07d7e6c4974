#include "daemon/files/local_file_store.hpp"

#include <gtest/gtest.h>

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/limits.hpp"
#include "daemon/files/file_url.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::files {
namespace {

using testing::TempDir;

TEST(LocalFileStore, AFileAppearsOnlyWhenCommitted) {
    const TempDir dir;
    const auto store = LocalFileStore::open(dir / "x y/");
    ASSERT_TRUE(store) << store.error().message;
    auto file = store->create("acme/1.csv");
    ASSERT_TRUE(file);
    const std::string text = "hello " + std::string(2 * limits::kFileWriteBufferBytes, 'x');
    ASSERT_TRUE(file->append("hello "));
    ASSERT_TRUE(file->append(std::string_view(text).substr(6)));
    EXPECT_FALSE(std::filesystem::exists(dir / "x y/acme/1.csv"));
    EXPECT_TRUE(std::filesystem::exists(dir / "x y/acme/1.csv.part"));
    const auto receipt = std::move(*file).commit();
    ASSERT_TRUE(receipt);
    EXPECT_EQ(testing::read_text(dir / "x y/acme/1.csv"), text);
    EXPECT_EQ(receipt->bytes, text.size());
    EXPECT_EQ(receipt->sha256, to_hex(crypto::sha256(text)));
    EXPECT_EQ(receipt->file_url, "file://" + dir.path() + "/x%20y/acme/1.csv");
    EXPECT_FALSE(std::filesystem::exists(dir / "x y/acme/1.csv.part"));
}

TEST(LocalFileStore, AnAbandonedFileLeavesNothing) {
    const TempDir dir;
    const auto store = LocalFileStore::open(dir / "x");
    { ASSERT_TRUE(store->create("acme/1.csv")); }
    EXPECT_TRUE(std::filesystem::is_empty(dir / "x/acme"));
}

TEST(LocalFileStore, OpenSweepsPartsAndOnlyThose) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "x/acme");
    dir.write("x/acme/1.csv.part", "half");
    dir.write("x/acme/2.csv", "whole");
    const auto store = LocalFileStore::open(dir / "x");
    EXPECT_EQ(store->parts_swept(), 1U);
    EXPECT_FALSE(std::filesystem::exists(dir / "x/acme/1.csv.part"));
    EXPECT_TRUE(std::filesystem::exists(dir / "x/acme/2.csv"));
}

TEST(LocalFileStore, NeverReplacesAFile) {
    const TempDir dir;
    const auto store = LocalFileStore::open(dir / "x");
    auto file = store->create("acme/1.csv");
    dir.write("x/acme/1.csv", "precious");
    EXPECT_FALSE(std::move(*file).commit());
    EXPECT_EQ(testing::read_text(dir / "x/acme/1.csv"), "precious");
}

TEST(LocalFileStore, RefusesKeysThatLeaveTheRoot) {
    const TempDir dir;
    const auto store = LocalFileStore::open(dir / "x");
    for (const char* bad : {"", "/etc/passwd", "../x", "a/../../b", "a/./b"}) {
        EXPECT_EQ(store->create(bad).error().code, ErrorCode::kInvalidArgument) << bad;
        EXPECT_FALSE(store->remove(bad)) << bad;
    }
    EXPECT_FALSE(LocalFileStore::open("relative"));
}

TEST(LocalFileStore, RemoveSaysWhetherThereWasOne) {
    const TempDir dir;
    const auto store = LocalFileStore::open(dir / "x");
    {
        auto file = store->create("a/1");
        ASSERT_TRUE(std::move(*file).commit());
    }
    EXPECT_TRUE(*store->remove("a/1"));
    EXPECT_FALSE(*store->remove("a/1"));
}

}  // namespace
}  // namespace export_worker::files
