#include "base/unix_socket.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/orphan.hpp"
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

TEST(ListenOnUnix, RefusesThePathOfAnotherListener) {
    const TempDir dir;
    const auto first = listen_on_unix(dir / "s", 0660);
    ASSERT_TRUE(first);
    const auto second = listen_on_unix(dir / "s", 0660);
    ASSERT_FALSE(second);
    EXPECT_EQ(second.error().code, ErrorCode::kUnavailable);
}

// Nothing will ever answer there.
TEST(ListenOnUnix, TakesThePathOfAListenerThatHasEndedWhateverThatHasForked) {
    const TempDir dir;
    const testing::Orphan orphan([&] {
        auto listening = listen_on_unix(dir / "s", 0660);
        if (!listening || listening->release() < 0) ::_exit(1);
    });
    ASSERT_TRUE(orphan.runs());
    const auto taken = listen_on_unix(dir / "s", 0660);
    EXPECT_TRUE(taken) << (taken ? "" : taken.error().message);
}

}  // namespace
}  // namespace export_worker
