// Reloads from request to end, with real images and real probes, without sockets.
#include <atomic>
#include <fstream>
#include <set>
#include <thread>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/lifecycle_fixture.hpp"
#include "tests/unit/support/log.hpp"

namespace export_worker::plugins {
namespace {

class ReloadTest : public LifecycleTest {};

TEST_F(ReloadTest, ReplacesTheCodeAndParksTheOld) {
    start();
    EXPECT_EQ(call(), "ok");
    const ReloadReport report = reload("broken_longer_descriptor");
    EXPECT_EQ(report.outcome, "committed");
    EXPECT_EQ(report.generation, 2U);
    EXPECT_EQ(report.from_generation, 1U);
    ASSERT_EQ(report.steps.size(), 5U);  // staging, inspection, probe, loading, publishing
    std::uint64_t answered_by = 0;
    EXPECT_EQ(call(*slot_, &answered_by), "ok");
    EXPECT_EQ(answered_by, 2U);
    EXPECT_TRUE(eventually([&] {
        return states() == std::vector<std::string>{"active", "parked"};
    }));
    EXPECT_EQ(status().handled, 2U);  // By all generations.
    EXPECT_TRUE(eventually([&] { return host_->report(report.id)->window->closed; }));
    const auto history = host_->history().entries("broken", 10);
    EXPECT_EQ(history->at(0).outcome, "committed");
    EXPECT_EQ(history->at(0).trigger, "operator");
}

TEST_F(ReloadTest, TheSameFileAndSettingsAreUnchangedOtherSettingsAreNot) {
    start();
    EXPECT_EQ(act({}).outcome, "unchanged");
    config_.plugins[0].settings = {{"colour", "blue"}};
    host_->reconfigure(config_, "SIGHUP");
    EXPECT_TRUE(eventually(
        [&] { return host_->history().entries("broken", 1)->at(0).trigger == "SIGHUP"; }));
    EXPECT_EQ(status().generation, 2U);
}

TEST_F(ReloadTest, ADryRunReportsAndChangesNothing) {
    start();
    install("broken_longer_descriptor");
    ReloadRequest request;
    request.dry_run = true;
    const ReloadReport report = act(request);
    EXPECT_EQ(report.outcome, "would_publish");
    EXPECT_EQ(report.steps.size(), 3U);
    EXPECT_EQ(status().generation, 1U);
    EXPECT_EQ(status().generations.size(), 1U);
}

TEST_F(ReloadTest, RefusesALostOrNarrowedMethodUnlessItIsNamed) {
    start();
    for (const std::string fixture : {"broken_removed", "broken_narrowed"}) {
        const ReloadReport refused = reload(fixture);
        EXPECT_EQ(refused.outcome, "refused");
        EXPECT_EQ(refused.refusal->code, "contract");
        EXPECT_NE(refused.refusal->hint.find("--allow broken.do"), std::string::npos);
        EXPECT_EQ(call(), "ok");
    }
    ReloadRequest request;
    request.allowed_contract_changes = {"broken.do"};
    EXPECT_EQ(act(request).outcome, "committed");
}

TEST_F(ReloadTest, CrashAndHangInTheProbeQuarantineTheFile) {
    start();
    for (const std::string code : {"probe_crash", "probe_timeout"}) {
        const bool hangs = code == "probe_timeout";
        const auto try_it = [&](const ReloadRequest& request) {
            return (hangs ? act_until_time_out(request) : act(request)).refusal->code;
        };
        install(hangs ? "broken_create_hangs" : "broken_ctor_aborts");
        EXPECT_EQ(try_it({}), code);
        const ReloadReport again = act({});
        EXPECT_EQ(again.refusal->code, "quarantined");
        EXPECT_NE(again.refusal->hint.find("--lift-quarantine"), std::string::npos);
        ReloadRequest request;
        request.lift_quarantine = true;
        EXPECT_EQ(try_it(request), code);
    }
    EXPECT_EQ(host_->history().all_quarantined()->size(), 2U);
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(host_->reload_counts().at("refused"), 6U);
}

TEST_F(ReloadTest, WhatWaitedForABakeRunsWhenTheBakeEndsByItself) {
    config_.policy.bake = milliseconds(300);
    start();
    const ReloadReport first = reload("broken_longer_descriptor", false);
    ASSERT_EQ(first.outcome, "baking");
    config_.plugins[0].settings = {{"colour", "blue"}};
    host_->reconfigure(config_, "SIGHUP");
    ReloadRequest dry;
    dry.dry_run = true;
    EXPECT_EQ(act(dry).outcome, "would_publish");  // Not the report of the reload that waits.
    clock_.advance(milliseconds(300));
    EXPECT_EQ(wait(first.id).outcome, "committed");
    EXPECT_EQ(wait(first.id + 1, false).outcome, "baking");
    EXPECT_EQ(status().generation, 3U);
}

TEST_F(ReloadTest, KeepsTheFilesItMayGoBackToAndNoOthers) {
    start();
    std::set<std::string> committed{status().sha256};
    committed.insert(reload("broken_longer_descriptor").sha256);
    EXPECT_EQ(reload("broken_self_test_fails").outcome, "refused");
    install("broken_newer_minor");
    ReloadRequest dry;
    dry.dry_run = true;
    EXPECT_EQ(act(dry).outcome, "would_publish");
    std::set<std::string> kept;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "plugins/artifacts"))
        kept.insert(entry.path().stem().string());
    EXPECT_EQ(kept, committed);
}

TEST_F(ReloadTest, AFileThatWasReplacedOrOverwrittenIsTakenAsItIs) {
    start();
    std::ofstream(file_, std::ios::trunc) << "not ELF";  // In place: the running copy is ours.
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(act({}).refusal->code, "not_elf");
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");  // By a rename.
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0770));
    EXPECT_EQ(act({}).refusal->code, "ownership");
    std::filesystem::permissions(dir_.path(), std::filesystem::perms(0700));
}

TEST_F(ReloadTest, ADirectoryAboveThatOthersMayWriteIsRefused) {
    start();
    std::filesystem::create_directories(dir_ / "shared/deep");
    std::filesystem::copy_file(file_, dir_ / "shared/deep/p.so");
    std::filesystem::permissions(dir_ / "shared", std::filesystem::perms(0777));
    ReloadRequest request;
    request.file = dir_ / "shared/deep/p.so";
    const ReloadReport refused = act(request);
    EXPECT_EQ(refused.refusal->code, "ownership");
    EXPECT_NE(refused.refusal->found.find("/shared is writable"), std::string::npos);
    std::filesystem::permissions(dir_ / "shared", std::filesystem::perms(0755));
    std::filesystem::create_directory_symlink(dir_ / "shared", dir_ / "current");
    request.file = dir_ / "current/deep/p.so";
    EXPECT_EQ(act(request).outcome, "unchanged");  // A trusted link on the way is fine.
}

TEST_F(ReloadTest, ALoadThatCannotBeMarkedRunsNoCode) {
    start();
    testing::refuse_writes(dir_ / "plugins.db", "call");
    const ReloadReport refused = reload("broken_longer_descriptor");
    ASSERT_TRUE(refused.refusal);
    EXPECT_EQ(refused.refusal->code, "io");
    EXPECT_EQ(refused.refusal->stage, "history");
    EXPECT_EQ(call(), "ok");
    testing::allow_writes(dir_ / "plugins.db");
}

TEST_F(ReloadTest, AWatchedFileIsReloadedOnceItHasSettled) {
    config_.policy.watch = true;
    // The clock runs far ahead of the probe below.
    config_.policy.probe_timeout = std::chrono::hours(24);
    start();
    install("broken_longer_descriptor");
    ASSERT_TRUE(eventually([&] {
        clock_.advance(limits::kWatchSettle);
        return host_->history().entries("broken", 1)->at(0).trigger == "watch";
    }));
    EXPECT_EQ(status().generation, 2U);
}

TEST_F(ReloadTest, ALoadBesideItMayNotTakeItsMethods) {
    start();
    ReloadRequest request;
    request.action = Action::kLoad;
    request.file = testing::install_plugin(dir_, "broken_other_name");
    const auto taking = host_->submit(request);
    ASSERT_TRUE(taking);
    const ReloadReport refused = wait(*taking);
    ASSERT_TRUE(refused.refusal);
    EXPECT_EQ(refused.refusal->code, "conflict");
    EXPECT_EQ(refused.refusal->found, "broken.do belongs to plugin broken");
    request.file = testing::install_plugin(dir_, "minimal_c");
    const auto id = host_->submit(request);
    ASSERT_TRUE(id);
    EXPECT_EQ(wait(*id).outcome, "committed");
    EXPECT_EQ(host_->list().size(), 2U);
    // No section names its file, so a reload has to.
    ReloadRequest again;
    again.plugin = "minimal";
    const auto nameless = host_->submit(again);
    ASSERT_TRUE(nameless);
    EXPECT_EQ(wait(*nameless).refusal->code, "unknown_plugin");
}

// What the daemon makes of it counts, whatever the probe has seen.
TEST_F(ReloadTest, APluginThatFailsOnlyInTheDaemonIsRefusedAndTheOldOneServes) {
    start();
    const ReloadReport report = reload("broken_create_fails_later");
    ASSERT_TRUE(report.refusal);
    EXPECT_EQ(report.refusal->code, "create_failed");
    EXPECT_EQ(report.refusal->found, "not for long");
    EXPECT_EQ(status().generation, 1U);
    EXPECT_EQ(call(), "ok");
}

TEST_F(ReloadTest, ACommitThatCannotBeWrittenDownIsLogged) {
    start();
    testing::refuse_writes(dir_ / "plugins.db", "plugin");
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    EXPECT_TRUE(testing::has_logged("plugin broken: not written down as committed: "));
    EXPECT_EQ(call(), "ok");
}

TEST_F(ReloadTest, AnAutomaticReloadThatIsRefusedIsAnAlarmUntilTheFileIsMended) {
    start();
    install("broken_self_test_fails");
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    EXPECT_EQ(act(sighup).outcome, "refused");
    ASSERT_EQ(host_->alarms().size(), 1U);
    EXPECT_NE(host_->alarms()[0].cause.find("the configured file was refused (SIGHUP)"),
              std::string::npos);
    install("broken_nothing");
    EXPECT_EQ(act(sighup).outcome, "unchanged");
    EXPECT_TRUE(host_->alarms().empty());
}

TEST_F(ReloadTest, AReportNamesTheStuckRequestsAndDoesNotWaitForThem) {
    config_.policy.drain = std::chrono::hours(24);
    const std::string release = dir_ / "release";
    ASSERT_EQ(::setenv("BROKEN_RELEASE", release.c_str(), 1), 0);  // Before there are threads.
    install("broken_hangs_later");
    start();
    for (int count = 0; count < 400; ++count) ASSERT_EQ(call(), "ok");
    PinSlot& stuck_slot = host_->routing().take_slot("stuck worker");
    std::thread stuck([this, &stuck_slot] { (void)call(stuck_slot); });
    ASSERT_TRUE(eventually([&] { return !status().generations[0].holders.empty(); }));
    clock_.advance(limits::kPluginStuckAfter + milliseconds(1));
    const ReloadReport report = reload("broken_nothing");
    EXPECT_EQ(report.outcome, "committed");
    EXPECT_TRUE(eventually([&] { return host_->report(report.id)->window->closed; }));
    EXPECT_EQ(host_->report(report.id)->window->stuck, 1U);
    EXPECT_EQ(report.from_generation, 1U);
    std::ofstream(release) << "now";
    stuck.join();
}

// Under load, on every code path at once: no request fails, and none is answered by code that is
// gone.
TEST_F(ReloadTest, NobodyNoticesReloadsUnderLoad) {
    config_.policy.generations_max = 64;
    start();
    std::atomic<bool> stopping{false};
    std::atomic<std::uint64_t> bad{0};
    std::atomic<std::uint64_t> good{0};
    std::vector<std::thread> workers;
    for (int index = 0; index < 3; ++index) {
        workers.emplace_back([&] {
            PinSlot& slot = host_->routing().take_slot("load");
            while (!stopping.load()) {
                (call(slot) == "ok" ? good : bad).fetch_add(1);
                std::this_thread::yield();  // The probes need a processor, too.
            }
            host_->routing().give_back(slot);
        });
    }
    for (int round = 0; round < 10; ++round) {
        EXPECT_EQ(reload(round % 2 == 0 ? "broken_longer_descriptor" : "broken_nothing").outcome,
                  "committed");
        const std::uint64_t before = good.load();  // Each generation serves, however fast it comes.
        EXPECT_TRUE(eventually([&] { return good.load() > before + 100; }));
    }
    stopping = true;
    for (std::thread& worker : workers) worker.join();
    EXPECT_EQ(bad.load(), 0U);
    EXPECT_EQ(status().handled, good.load());
}

}  // namespace
}  // namespace export_worker::plugins
