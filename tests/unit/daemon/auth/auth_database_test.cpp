#include "daemon/auth/auth_database.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include "daemon/sqlite/limits.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::auth {
namespace {

TEST(AuthDatabase, ItsLogHasRoomOnDiskBeforeItNeedsIt) {
    const testing::TempDir dir;
    const auto database = open_auth_database(dir / "auth.db");
    ASSERT_TRUE(database) << database.error().message;
    struct stat info {};
    ASSERT_EQ(::stat((dir / "auth.db-wal").c_str(), &info), 0);
    EXPECT_GE(info.st_blocks * 512, limits::kDatabaseLogBytesReserved);
    EXPECT_LT(info.st_size, limits::kDatabaseLogBytesReserved);
}

}  // namespace
}  // namespace export_worker::auth
