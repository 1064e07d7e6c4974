#include "daemon/plugins/running/crash_record.hpp"

#include <gtest/gtest.h>
#include <link.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <string>
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

// The path of a library of this process, as the loader has it.
std::string path_of(const std::string& library) {
    struct Search {
        const std::string& library;
        std::string found;
    } search{library, {}};
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, std::size_t, void* data) {
            auto& wanted = *static_cast<Search*>(data);
            if (std::string(info->dlpi_name).find(wanted.library) != std::string::npos)
                wanted.found = info->dlpi_name;
            return 0;
        },
        &search);
    return search.found;
}

#if !defined(EXPORT_WORKER_SANITIZED)  // The runtimes start threads and abort in their own way.
TEST_F(CrashRecordTest, ACrashInTheCodeOfAnImageOrCalledFromItCounts) {
    // abort() raises its signal inside libc; libstdc++ has called the thread's function.
    for (const char* library : {"/libc.so", "/libstdc++.so"}) {
        const auto recorder = CrashRecorder::open(path_);
        EXPECT_EXIT(
            {
                watch_image(path_of(library), {"p", "abc"});
                std::thread([] { std::abort(); }).join();
            },
            ::testing::KilledBySignal(SIGABRT), "");
        const auto crashes = take_crashes(path_);
        ASSERT_EQ(crashes->size(), 1U) << library;
        EXPECT_EQ(crashes->at(0).sha256, "abc");
        EXPECT_FALSE(crashes->at(0).in_handle);
    }
}

TEST_F(CrashRecordTest, AThreadOfTheHostIsNotJudgedByItsStack) {
    const auto recorder = CrashRecorder::open(path_);
    EXPECT_EXIT(
        {
            watch_image(path_of("/libstdc++.so"), {"p", "abc"});
            std::thread([this] {
                { const InPlugin in(line_); }
                std::abort();
            }).join();
        },
        ::testing::KilledBySignal(SIGABRT), "");
    EXPECT_TRUE(take_crashes(path_)->empty());
}
#endif

TEST_F(CrashRecordTest, AnImageIsKnownUntilItIsForgotten) {
    EXPECT_FALSE(watch_image("/nowhere.so", {"p", "abc"}));
    const std::string path = path_of("/libc.so");
    EXPECT_TRUE(watch_image(path, {"p", "abc"}));
    forget_image(path);
    forget_image(path);
    const auto recorder = CrashRecorder::open(path_);
    EXPECT_EXIT(std::thread([] { std::abort(); }).join(), ::testing::KilledBySignal(SIGABRT), "");
    EXPECT_TRUE(take_crashes(path_)->empty());
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
