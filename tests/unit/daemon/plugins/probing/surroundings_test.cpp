#include "daemon/plugins/probing/surroundings.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <future>
#include <thread>

#include "base/unique_fd.hpp"
#include "tests/unit/support/resource_limit.hpp"

namespace export_worker::plugins {
namespace {

TEST(Surroundings, RefusesAChangeWithItsStep) {
    const Surroundings surroundings;
    EXPECT_TRUE(surroundings.check_unchanged("in create()"));
    const mode_t before = ::umask(0111);
    const auto refused = surroundings.check_unchanged("in create()");
    ::umask(before);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "probe_failed");
    EXPECT_EQ(refused.error().expected, "no change of process-wide state in create()");
    EXPECT_TRUE(refused.error().found.ends_with(", is 0111")) << refused.error().found;
}

// create() may open files; only at the end they must be closed.
TEST(Surroundings, WhatIsOpenIsRefusedAtTheEndOnly) {
    const Surroundings surroundings;
    const UniqueFd file(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    EXPECT_TRUE(surroundings.check_unchanged("in create()"));
    const auto refused = surroundings.check_nothing_left("after destroy()");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "probe_failed");
    EXPECT_NE(refused.error().found.find("/dev/null"), std::string::npos);
}

TEST(Surroundings, MemoryThatStaysLockedIsRefused) {
    const Surroundings surroundings;
    std::array<char, 4096> page{};
    // Not mlock(): a sanitizer's does nothing.
    ASSERT_EQ(::syscall(SYS_mlock, page.data(), page.size()), 0);
    const auto refused = surroundings.check_nothing_left("after destroy()");
    ASSERT_EQ(::syscall(SYS_munlock, page.data(), page.size()), 0);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().expected, "timers and locked memory given back after destroy()");
}

// What is compared is read from files.
TEST(Surroundings, ALackOfDescriptorsIsCalledByItsName) {
    const Surroundings surroundings;
    const UniqueFd lowest(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    Verdict<void> judged;
    {
        const testing::ResourceLimit none(RLIMIT_NOFILE, static_cast<rlim_t>(lowest.get()));
        judged = surroundings.check_unchanged("in handle()");
    }
    ASSERT_FALSE(judged);
    EXPECT_EQ(judged.error().expected, "a descriptor that is still free in handle()");
}

TEST(Surroundings, AThreadThatIsLeftIsRefused) {
    const Surroundings surroundings;
    std::promise<void> end;
    std::thread left([&] { end.get_future().wait(); });
    const auto refused = surroundings.check_nothing_left("after destroy()");
    end.set_value();
    left.join();
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().found, "1 more than before");
    EXPECT_TRUE(surroundings.check_nothing_left("after destroy()"));
}

}  // namespace
}  // namespace export_worker::plugins
