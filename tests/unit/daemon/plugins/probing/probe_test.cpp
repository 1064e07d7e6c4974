#include "daemon/plugins/probing/probe.hpp"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include <filesystem>
#include <future>
#include <tuple>
#include <vector>

#include "base/io.hpp"
#include "base/unique_fd.hpp"
#include "daemon/plugins/inspection/inspection.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"

namespace export_worker::plugins {
namespace {

// Whatever numbers its pipes get: one of them overwrote another when they met the number the child
// uses in between.
TEST(Probe, WorksWhicheverDescriptorsAreFree) {
    const testing::TempDir dir;
    ProbeRequest request;
    request.file = testing::install_plugin(dir, "minimal_c");
    request.create = false;
    std::vector<UniqueFd> taken;
    for (int number = 0; number < 20; ++number) {
        const auto probed = probe(testing::probe_program(), request, system_clock());
        // The manifest is none, so the answer is a refusal of the child's own: it was asked.
        ASSERT_FALSE(probed) << number;
        ASSERT_NE(probed.error().code, "probe_crash") << number << ": " << probed.error().found;
        taken.emplace_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
    }
}

TEST(Probe, AProgramThatCannotRunIsNamed) {
    const testing::TempDir dir;
    ProbeRequest request;
    request.file = testing::install_plugin(dir, "minimal_c");
    const auto probed = probe(dir / "none", request, system_clock());
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "io");
    EXPECT_EQ(probed.error().found, "run " + (dir / "none") + ": No such file or directory");
}

TEST(Probe, SurvivesAChildThatNeverReads) {
    const testing::TempDir dir;
    ProbeRequest request;
    request.file = testing::install_plugin(dir, "minimal_c");
    request.golden = std::string(4 * 1024 * 1024, '\n');  // More than a pipe holds.
    const auto probed = probe("/bin/true", request, system_clock());
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_crash");
    EXPECT_EQ(probed.error().found, "it exited with status 0 while starting");
}

ProbeRequest hanging_request(const testing::TempDir& dir,
                             const std::string& fixture = "broken_create_hangs") {
    ProbeRequest request;
    request.file = testing::install_plugin(dir, fixture);
    request.manifest = inspect(testing::read_text(request.file))->manifest;
    return request;
}

TEST(Probe, ATimeOutEndsAChildThatHangs) {
    const testing::TempDir dir;
    ProbeRequest request = hanging_request(dir);
    request.timeout = std::chrono::hours(1);
    testing::FakeClock clock;
    auto probed = std::async(std::launch::async, [&] {
        return probe(testing::probe_program(), request, clock).error();
    });
    // The first advance may come before the probe has read the clock.
    ASSERT_TRUE(testing::eventually([&] {
        clock.advance(request.timeout);
        return probed.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }));
    const Refusal refusal = probed.get();
    EXPECT_EQ(refusal.code, "probe_timeout");
    EXPECT_EQ(refusal.expected, "an answer within 3600000 ms");
}

TEST(Probe, TheMachinesClockEndsAChildThatHangs) {
    const testing::TempDir dir;
    ProbeRequest request = hanging_request(dir);
    request.timeout = std::chrono::milliseconds(50);
    const SteadyTime began = system_clock().steady();
    const auto probed = probe(testing::probe_program(), request, system_clock());
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_timeout");
    EXPECT_GE(system_clock().steady() - began, request.timeout);
}

// The end of the report is not the end of the child.
TEST(Probe, ATimeOutEndsAChildThatClosedItsReport) {
    const testing::TempDir dir;
    ProbeRequest request = hanging_request(dir, "broken_closes_files");
    request.timeout = std::chrono::seconds(1);
    const auto probed = probe(testing::probe_program(), request, system_clock());
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_timeout");
}

TEST(Probe, ACancellationEndsAChildThatHangs) {
    const testing::TempDir dir;
    ProbeRequest request = hanging_request(dir);
    request.timeout = std::chrono::hours(1);
    const std::atomic<bool> cancelled{true};
    const auto probed = probe(testing::probe_program(), request, system_clock(), &cancelled);
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "cancelled");
}

// two_faced.cpp in the child, which inherits the environment.
Verdict<ProbeReport> probe_act(const std::string& act, std::chrono::milliseconds timeout) {
    const testing::TempDir dir;
    ProbeRequest request;
    request.file = testing::install_plugin(dir, "two_faced");
    const AllowedImports allowed{
        {"broken",
         {"chdir", "dup2", "exit", "fork", "pthread_exit", "raise", "setenv", "setitimer",
          "setlocale", "setpriority", "setrlimit", "setsid", "signal", "umask"}}};
    request.manifest = inspect(testing::read_text(request.file), {}, allowed).value().manifest;
    request.timeout = timeout;
    ::setenv("BROKEN_WHERE", "probe", 1);
    ::setenv("BROKEN_STEP", "create", 1);
    ::setenv("BROKEN_ACT", act.c_str(), 1);
    auto probed = probe(testing::probe_program(), request, system_clock());
    for (const char* const name : {"BROKEN_WHERE", "BROKEN_STEP", "BROKEN_ACT"}) ::unsetenv(name);
    return probed;
}

constexpr std::chrono::milliseconds kLong{60'000};

TEST(Probe, GarbageOnTheReportIsPassedOver) {
    EXPECT_TRUE(probe_act("garbage in the report", kLong));
}

TEST(Probe, AFloodedReportIsRefused) {
    const auto probed = probe_act("4 MiB in the report", kLong);
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_failed");
    EXPECT_EQ(probed.error().found, "more than 1048576 bytes on it while in create()");
}

TEST(Probe, AReportThatWasClosedOrReplacedIsRefused) {
#if defined(EXPORT_WORKER_SANITIZED)  // The runtime dies of what the plugin does to its
                                      // descriptors.
    const std::vector<const char*> acts{"closed descriptors"};
#else
    const std::vector<const char*> acts{"closed descriptors", "replaced descriptors"};
#endif
    for (const char* const act : acts) {
        const auto probed = probe_act(act, kLong);
        ASSERT_FALSE(probed) << act;
        EXPECT_EQ(probed.error().code, "probe_failed") << act;
        EXPECT_EQ(probed.error().found, "closed or replaced while in create()") << act;
    }
}

// A verdict counts only if the child also ended as a probe ends.
TEST(Probe, AForgedReportOfAChildThatHangsIsATimeOut) {
    const auto probed = probe_act("forged report, hang", std::chrono::milliseconds(1000));
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_timeout");
}

// It holds the pipes open; the end of the child is what counts.
TEST(Probe, AForkedProcessDoesNotHoldUpTheVerdict) {
    const SteadyTime began = system_clock().steady();
    const auto probed = probe_act("fork", kLong);
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().expected, "no process of the plugin after destroy()");
    EXPECT_LT(system_clock().steady() - began, kLong / 2);
}

// Processes with the environment of this test's probes.
std::size_t count_processes_with(const std::string& variable) {
    std::size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
        const auto environment = read_file(entry.path().string() + "/environ", 1024 * 1024);
        // This process has set it after its start.
        if (environment && environment->find(variable) != std::string::npos) ++count;
    }
    return count;
}

// setsid() takes it out of the group of the probe.
TEST(Probe, ADetachedProcessEndsWithTheProbe) {
    const std::string mark = "BROKEN_MARK";
    const std::string value = std::to_string(::getpid());
    ::setenv(mark.c_str(), value.c_str(), 1);
    const SteadyTime began = system_clock().steady();
    for (const auto& [act, code, timeout] :
         {std::tuple{"detached process", "probe_failed", kLong},
          std::tuple{"detached process, crash", "probe_crash", kLong},
          std::tuple{"detached process, hang", "probe_timeout", std::chrono::milliseconds(1000)}}) {
        const auto probed = probe_act(act, timeout);
        ASSERT_FALSE(probed) << act;
        EXPECT_EQ(probed.error().code, code) << act;
        EXPECT_EQ(count_processes_with(mark + "=" + value), 0U) << act;
    }
    ::unsetenv(mark.c_str());
    EXPECT_LT(system_clock().steady() - began, kLong / 2);
}

// As a signal to the whole process group does, or the kernel when memory is short.
TEST(Probe, ACandidateIsNotToBlameForASignalFromOutside) {
    for (const char* name : {"SIGTERM", "SIGKILL"}) {
        const auto probed = probe_act(name, kLong);
        ASSERT_FALSE(probed);
        EXPECT_EQ(probed.error().code, "probe_interrupted");
        EXPECT_TRUE(probed.error().found.starts_with(std::string("it was killed by ") + name));
    }
}

TEST(Probe, TheNewestOutputIsQuoted) {
    EXPECT_TRUE(probe_act("4 MiB of output", kLong));
    const auto probed = probe_act("output, then abort", kLong);
    ASSERT_FALSE(probed);
    EXPECT_EQ(probed.error().code, "probe_crash");
    EXPECT_TRUE(probed.error().found.ends_with("it said: the last line")) << probed.error().found;
}

}  // namespace
}  // namespace export_worker::plugins
