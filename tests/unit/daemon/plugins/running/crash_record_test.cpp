#include "daemon/plugins/running/crash_record.hpp"

#include <gtest/gtest.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <thread>

#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

class CrashRecordTest : public ::testing::Test {
protected:
    const testing::TempDir dir_;
    const std::string path_ = dir_ / "crashes";
    const std::string line_ = encode_crash({"p", "abc"});
};

TEST_F(CrashRecordTest, NamesTheFileInWhichTheProcessDied) {
    const auto recorder = CrashRecorder::open(path_);
    ASSERT_TRUE(recorder);
    EXPECT_EXIT(
        {
            const InPlugin in(line_);
            std::abort();
        },
        ::testing::KilledBySignal(SIGABRT), "");
    const auto crashes = take_crashes(path_);
    ASSERT_TRUE(crashes);
    ASSERT_EQ(crashes->size(), 1U);
    EXPECT_EQ(crashes->at(0).plugin, "p");
    EXPECT_EQ(crashes->at(0).sha256, "abc");
    EXPECT_TRUE(take_crashes(path_)->empty());
}

#if !defined(EXPORT_WORKER_SANITIZED)  // The runtimes handle SIGSEGV themselves.
// NOLINTNEXTLINE(misc-no-recursion): overflowing the stack is the purpose.
int overflow(int depth) {
    std::array<volatile char, 4096> frame{};
    if (depth < 0) return 0;
    frame[0] = static_cast<char>(depth);
    return overflow(depth + 1) + frame[0];
}

TEST_F(CrashRecordTest, AStackOverflowCounts) {
    const auto recorder = CrashRecorder::open(path_);
    EXPECT_EXIT(
        {
            std::thread([this] {
                const InPlugin in(line_);
                (void)overflow(0);
            }).join();
        },
        ::testing::KilledBySignal(SIGSEGV), "");
    EXPECT_EQ(take_crashes(path_)->size(), 1U);
}
#endif

TEST_F(CrashRecordTest, AnExitInsideAPluginCounts) {
    const auto recorder = CrashRecorder::open(path_);
    EXPECT_EXIT(
        {
            const InPlugin in(line_);
            std::exit(3);
        },
        ::testing::ExitedWithCode(3), "");
    EXPECT_EQ(take_crashes(path_)->size(), 1U);
}

// With exit status 0 a service manager would not start the daemon again.
TEST_F(CrashRecordTest, AnExitOnAnotherThreadIsNoGoodEnd) {
    const auto recorder = CrashRecorder::open(path_);
    EXPECT_EXIT(
        {
            std::thread([this] {
                const InPlugin in(line_);
                std::exit(0);
            }).join();
        },
        ::testing::KilledBySignal(SIGABRT), "");
    EXPECT_EQ(take_crashes(path_)->size(), 1U);
    EXPECT_EXIT(std::thread([] { std::exit(0); }).join(), ::testing::KilledBySignal(SIGABRT), "");
}

TEST_F(CrashRecordTest, ADeathOutsideAPluginOrByKillLeavesNoLine) {
    const auto recorder = CrashRecorder::open(path_);
    EXPECT_EXIT(
        {
            { const InPlugin in(line_); }
            std::abort();
        },
        ::testing::KilledBySignal(SIGABRT), "");
    EXPECT_EXIT(
        {
            const InPlugin in(line_);
            (void)std::raise(SIGKILL);
        },
        ::testing::KilledBySignal(SIGKILL), "");
    EXPECT_TRUE(take_crashes(path_)->empty());
}

}  // namespace
}  // namespace export_worker::plugins
