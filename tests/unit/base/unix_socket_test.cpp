#include "base/unix_socket.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker {
namespace {

using testing::TempDir;

TEST(ListenOnUnix, RefusesAPathThatNoAddressHolds) {
    const TempDir dir;
    const auto refused = listen_on_unix(dir / std::string(108, 's'), 0660);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("expected a path of at most 107 bytes"),
              std::string::npos)
        << refused.error().message;
}

TEST(ListenOnUnix, NamesThePathThatCannotBeBound) {
    // No file system lets a socket be made there, whoever asks.
    const auto refused = listen_on_unix("/proc/export-worker.sock", 0660);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("bind /proc/export-worker.sock"), std::string::npos)
        << refused.error().message;
}

TEST(ListenOnUnix, AnotherProcessThereCanEnd) {
    const TempDir dir;
    const auto first = listen_on_unix(dir / "taken.sock", 0600);
    ASSERT_TRUE(first) << first.error().message;
    const auto refused = listen_on_unix(dir / "taken.sock", 0600);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
}

}  // namespace
}  // namespace export_worker
