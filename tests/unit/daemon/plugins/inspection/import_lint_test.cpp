#include "daemon/plugins/inspection/import_lint.hpp"

#include <gtest/gtest.h>

#include <algorithm>

#include "daemon/plugins/inspection/inspection.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"

namespace export_worker::plugins {
namespace {

// Of a plugin with these imports; empty: accepted.
std::string refusal(const std::vector<std::string>& imports,
                    const std::vector<std::string>& allowed = {},
                    const std::vector<std::string>& needed = {}) {
    ElfFacts facts;
    facts.imports = imports;
    facts.needed = needed;
    const auto checked = check_imports(facts, allowed);
    return checked ? "" : to_text(checked.error());
}

TEST(ImportLint, RefusesByEffectOnTheProcess) {
    for (const char* name : {"fork",
                             "posix_spawn",
                             "_exit",
                             "quick_exit",
                             "errx",
                             "pthread_exit",
                             "sigaction",
                             "setitimer",
                             "alarm",
                             "kill",
                             "raise",
                             "pthread_kill",
                             "pthread_cancel",
                             "sigprocmask",
                             "sigwait",
                             "ptrace",
                             "close_range",
                             "dup2",
                             "dup3",
                             "nice",
                             "setpriority",
                             "sched_setaffinity",
                             "capset",
                             "clock_settime",
                             "forkpty",
                             "execveat",
                             "_ZNSt3pmr20set_default_resourceEPNS_15memory_resourceE",
                             "setenv",
                             "chdir",
                             "umask",
                             "setresuid",
                             "setrlimit",
                             "prlimit64",
                             "setlocale",
                             "_ZNSt6locale6globalERKS_",
                             "_ZSt13set_terminatePFvvE",
                             "__register_atfork",
                             "__cxa_at_quick_exit",
                             "dlopen"}) {
        EXPECT_NE(refusal({"malloc", name}).find(std::string("no import of ") + name),
                  std::string::npos)
            << name;
    }
    EXPECT_EQ(refusal({"malloc", "abort", "pthread_sigmask", "pthread_setaffinity_np", "dup",
                       "newlocale", "uselocale", "getrlimit", "__cxa_atexit", "syscall", "prctl"}),
              "");
}

TEST(ImportLint, AcceptsWhatIsAllowedAndNothingElse) {
    EXPECT_EQ(refusal({"setitimer"}, {"setitimer"}), "");
    EXPECT_NE(refusal({"setitimer", "umask"}, {"setitimer"}).find("umask"), std::string::npos);
}

// A libstdc++ that is linked statically imports setlocale whether or not anything calls it.
TEST(ImportLint, AcceptsTheSetlocaleOfAStaticLibstdcxx) {
    EXPECT_EQ(refusal({"__newlocale", "setlocale"}), "");
    EXPECT_NE(refusal({"__newlocale", "setlocale"}, {}, {"libstdc++.so.6"}), "");
    EXPECT_NE(refusal({"newlocale", "setlocale"}), "");
    EXPECT_NE(refusal({"__newlocale", "setlocale", "umask"}), "");
    const testing::TempDir dir;
    const std::string bytes = testing::read_text(testing::install_plugin(dir, "static_libstdcxx"));
    const auto facts = read_elf(bytes);
    ASSERT_TRUE(facts);
    EXPECT_NE(std::ranges::find(facts->imports, "setlocale"), facts->imports.end());
    const auto inspected = inspect(bytes);
    EXPECT_TRUE(inspected) << (inspected ? "" : to_text(inspected.error()));
}

TEST(ImportLint, AnAllowedImportIsForOnePlugin) {
    const testing::TempDir dir;
    const std::string bytes =
        testing::read_text(testing::install_plugin(dir, "broken_forbidden_import"));
    EXPECT_EQ(inspect(bytes).error().code, "lint");
    EXPECT_EQ(inspect(bytes, {}, {{"other", {"system"}}}).error().code, "lint");
    EXPECT_TRUE(inspect(bytes, {}, {{"broken", {"system"}}}));
}

}  // namespace
}  // namespace export_worker::plugins
