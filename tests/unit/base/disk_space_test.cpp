#include "base/disk_space.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

TEST(DiskSpace, IsThatOfThePathsFileSystem) {
    const testing::TempDir dir;
    const auto disk = read_disk_space(dir.path());
    ASSERT_TRUE(disk);
    EXPECT_GT(disk->total_bytes, 0U);
    EXPECT_LE(disk->free_bytes, disk->total_bytes);
    EXPECT_TRUE(disk->has_inodes());
    EXPECT_EQ(read_disk_space(dir.write("file", "x"))->file_system, disk->file_system);
    EXPECT_NE(read_disk_space("/proc")->file_system, disk->file_system);
}

TEST(DiskSpace, OfAPathThatIsNotThereNothingIsKnown) {
    const testing::TempDir dir;
    const auto disk = read_disk_space(dir / "none");
    ASSERT_FALSE(disk);
    EXPECT_EQ(disk.error().code, ErrorCode::kNotFound);
}

TEST(DiskSpace, WantsLessOfASmallFileSystem) {
    DiskSpace disk;
    disk.total_bytes = 2'000'000;
    EXPECT_EQ(disk.wanted_bytes(), 100'000U);
    disk.total_bytes = std::uint64_t{1} << 50U;
    EXPECT_EQ(disk.wanted_bytes(), limits::kDiskFreeBytesMin);
    EXPECT_TRUE(disk.has_inodes()) << "not counted";
    disk.total_inodes = 10;
    EXPECT_FALSE(disk.has_inodes());
}

TEST(DiskSpace, SaysWhatIsWrongInAUnitThatShowsIt) {
    DiskSpace disk;
    disk.total_bytes = 2'000'000;
    disk.free_bytes = 50'000;
    EXPECT_EQ(disk.problem(), "48 KiB are free, expected 97 KiB");
    disk.free_bytes = 100'000;
    EXPECT_EQ(disk.problem(), "");
    disk.total_bytes = std::uint64_t{1} << 50U;
    EXPECT_EQ(disk.problem(), "0 MiB are free, expected 256 MiB");
    disk.total_inodes = 10;
    EXPECT_EQ(disk.problem(), "no inode is free");
}

}  // namespace
}  // namespace export_worker
