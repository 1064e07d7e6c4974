#include "daemon/plugins/probing/process_guard.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/capability.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <filesystem>

#include "base/unique_fd.hpp"
#include "daemon/plugins/inspection/inspection.hpp"
#include "daemon/plugins/probing/child_processes.hpp"
#include "daemon/plugins/probing/process_state.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/resource_limit.hpp"

namespace export_worker::plugins {
namespace {

// two_faced.cpp, here and not in a probe.
Verdict<std::unique_ptr<Generation>> load_act(const testing::TempDir& dir, const std::string& act) {
    Generation::Setup setup;
    setup.path = testing::install_plugin(dir, "two_faced");
    const AllowedImports allowed{
        {"broken",
         {"chdir", "dup2", "exit", "fork", "pthread_exit", "raise", "setenv", "setitimer",
          "setlocale", "setpriority", "setrlimit", "setsid", "signal", "umask"}}};
    setup.manifest = inspect(testing::read_text(setup.path), {}, allowed).value().manifest;
    setup.number = 1;
    setup.deps.clock = &system_clock();
    ::setenv("BROKEN_WHERE", "daemon", 1);
    ::setenv("BROKEN_STEP", "create", 1);
    ::setenv("BROKEN_ACT", act.c_str(), 1);
    auto loaded = load_guarded(std::move(setup));
    for (const char* const name : {"BROKEN_WHERE", "BROKEN_STEP", "BROKEN_ACT"}) ::unsetenv(name);
    return loaded;
}

TEST(ProcessGuard, ARightPluginIsLoaded) {
    const testing::TempDir dir;
    EXPECT_TRUE(load_act(dir, "none"));
}

TEST(ProcessGuard, WhatALoadChangedIsPutBack) {
    for (const auto& [act, found] :
         {std::pair{"chdir", "working directory was "}, std::pair{"umask", "umask was "},
          std::pair{"setlocale", "locale was C, is C.UTF-8"},
          std::pair{"setrlimit", "limit of open files was "},
          std::pair{"signal mask", "signal mask was "},
          std::pair{"ignored SIGTERM", "disposition of SIGTERM was "},
          std::pair{"setitimer", "interval timer ITIMER_REAL was stopped, is running"},
          std::pair{"closed stdio", "descriptor 0 was "}}) {
        const testing::TempDir dir;
        const Settings process = read_process_settings();
        const Settings thread = read_thread_settings();
        const Settings stdio = read_stdio();
        const auto refused = load_act(dir, act);
        ASSERT_FALSE(refused) << act;
        EXPECT_EQ(refused.error().code, "load_failed") << act;
        EXPECT_TRUE(refused.error().found.starts_with(found)) << refused.error().found;
        EXPECT_TRUE(refused.error().found.ends_with(" (put back)")) << refused.error().found;
        EXPECT_FALSE(first_change(process, read_process_settings())) << act;
        EXPECT_FALSE(first_change(thread, read_thread_settings())) << act;
        EXPECT_FALSE(first_change(stdio, read_stdio())) << act;
    }
}

TEST(ProcessGuard, WhatCannotBePutBackAsksForARestart) {
    const testing::TempDir dir;
    const auto refused = load_act(dir, "setenv");
    const auto lasting = lasting_changes();
    ::unsetenv("BROKEN_WAS_HERE");
    ASSERT_FALSE(refused);
    ASSERT_EQ(lasting.size(), 1U);
    EXPECT_EQ(lasting[0],
              "a plugin has changed this process: environment variable BROKEN_WAS_HERE was unset, "
              "is set");
    EXPECT_TRUE(lasting_changes().empty()) << "it was put back";
    EXPECT_EQ(refused.error().found,
              "environment variable BROKEN_WAS_HERE was unset, is set (could not be put back)");
    EXPECT_TRUE(refused.error().hint.starts_with("restart the daemon"));
}

// As a daemon that is not root.
void give_up_privileges() {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    const std::array<__user_cap_data_struct, 2> none{};
    ::syscall(SYS_capset, &header, none.data());
}

TEST(ProcessGuard, AHardLimitThatWasLoweredIsNamedUntilARestart) {
    const testing::TempDir dir;
    EXPECT_EXIT(
        {
            give_up_privileges();
            const auto refused = load_act(dir, "hard limit");
            std::fprintf(stderr, "%s\n%s\n", refused ? "" : refused.error().found.c_str(),
                         lasting_changes().at(0).c_str());
            ::_exit(0);
        },
        ::testing::ExitedWithCode(0),
        "^limit of open files was .*, is 60, hard 60 .could not be put back.\n"
        "a plugin has changed this process: limit of open files was .*, is 60, hard 60\n");
}

TEST(ProcessGuard, AChildProcessIsEndedAndTheFileRefused) {
    const testing::TempDir dir;
    const auto refused = load_act(dir, "fork");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().found, "number of child processes was 0, is 1 (put back)");
    EXPECT_FALSE(has_children());
}

// The plugin is not to blame.
TEST(ProcessGuard, WithoutFreeDescriptorsNothingIsLoaded) {
    const testing::TempDir dir;
    // Enough to read the file.
    const testing::ResourceLimit limit(RLIMIT_NOFILE, testing::descriptors_leaving(3));
    const auto refused = load_act(dir, "none");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, "io");
    EXPECT_EQ(refused.error().found, "open /dev/null: Too many open files");
}

}  // namespace
}  // namespace export_worker::plugins
