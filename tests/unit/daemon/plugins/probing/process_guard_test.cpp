#include "daemon/plugins/probing/process_guard.hpp"

#include <gtest/gtest.h>
#include <locale.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <filesystem>

#include "daemon/plugins/inspection/inspection.hpp"
#include "daemon/plugins/probing/process_state.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"

namespace export_worker::plugins {
namespace {

// two_faced.cpp, here and not in a probe.
Judged<std::unique_ptr<Generation>> load_act(const testing::TempDir& dir, const std::string& act) {
    Generation::Setup setup;
    setup.path = testing::install_plugin(dir, "two_faced");
    const AllowedImports allowed{
        {"broken",
         {"chdir", "dup2", "exit", "fork", "pthread_exit", "raise", "setenv", "setitimer",
          "setlocale", "setpriority", "setrlimit", "setsid", "signal", "umask"}}};
    setup.manifest = inspect(testing::read_text(setup.path), {}, allowed).value().manifest;
    setup.number = 1;
    setup.parts.clock = &system_clock();
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
    ::unsetenv("BROKEN_WAS_HERE");
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().found,
              "environment variable BROKEN_WAS_HERE was unset, is set (could not be put back)");
    EXPECT_TRUE(refused.error().hint.starts_with("restart the daemon"));
}

}  // namespace
}  // namespace export_worker::plugins
