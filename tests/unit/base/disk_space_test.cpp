#include "base/disk_space.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

TEST(DiskSpace, IsThatOfThePathsFileSystem) {
    const testing::TempDir dir;
    const auto disk = read_disk_space(dir.path());
    ASSERT_TRUE(disk);
    EXPECT_GT(disk->total_bytes, 0U);
    EXPECT_LE(disk->free_bytes, disk->total_bytes);
    EXPECT_TRUE(disk->has_inodes);
    EXPECT_EQ(read_disk_space(dir.write("file", "x"))->file_system, disk->file_system);
    EXPECT_NE(read_disk_space("/proc")->file_system, disk->file_system);
}

TEST(DiskSpace, OfAPathThatIsNotThereNothingIsKnown) {
    const testing::TempDir dir;
    EXPECT_FALSE(read_disk_space(dir / "none"));
}

}  // namespace
}  // namespace export_worker
