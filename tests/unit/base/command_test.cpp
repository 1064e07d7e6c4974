#include "base/command.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"

namespace export_worker {
namespace {

using std::chrono::seconds;

Result<CommandEnd> shell(const std::string& script, std::chrono::milliseconds timeout) {
    return run_command({"/bin/sh", "-c", script}, timeout);
}

TEST(Command, SaysWhatIsPrintedAndHowItEnds) {
    const auto end = shell("echo out; echo err >&2; exit 3", seconds(20));
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->status, 3);
    EXPECT_EQ(end->output, "out\nerr\n");
    EXPECT_EQ(shell("kill -9 $$", seconds(20))->status, 128 + 9);
}

TEST(Command, HasNoInput) {
    EXPECT_EQ(shell("cat; echo end", seconds(20))->output, "end\n");
}

TEST(Command, IsKilledAtItsTimeWithWhatItHasStarted) {
    const auto begin = std::chrono::steady_clock::now();
    const auto end = shell("tail -f /dev/null & tail -f /dev/null", std::chrono::milliseconds(50));
    ASSERT_FALSE(end);
    EXPECT_EQ(end.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_LT(std::chrono::steady_clock::now() - begin, seconds(20));
}

TEST(Command, DoesNotWaitForAProcessThatIsLeftBehind) {
    const auto end = shell("tail -f /dev/null & echo $!", seconds(20));
    ASSERT_TRUE(end) << end.error().message;
    (void)shell("kill " + end->output, seconds(20));
}

TEST(Command, KeepsNoMoreOutputThanItsBound) {
    const auto end = shell("head -c 1000000 /dev/zero", seconds(20));
    ASSERT_TRUE(end) << end.error().message;
    EXPECT_EQ(end->output.size(), limits::kCommandOutputBytesMax);
}

TEST(Command, NamesAProgramThatCannotBeRun) {
    EXPECT_EQ(run_command({"/no/such"}, seconds(20)).error().code, ErrorCode::kNotFound);
    EXPECT_EQ(run_command({"/etc/passwd"}, seconds(20)).error().code,
              ErrorCode::kFailedPrecondition);
}

}  // namespace
}  // namespace export_worker
