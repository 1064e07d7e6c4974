// Starts of plugins: what history says serves, then the configured file is tried.
#include <algorithm>
#include <atomic>
#include <filesystem>
#include <thread>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "tests/unit/support/lifecycle_fixture.hpp"
#include "tests/unit/support/log.hpp"

namespace export_worker::plugins {
namespace {

class StartTest : public LifecycleTest {};

TEST_F(StartTest, AfterACrashWhileBakingTheCommittedFileStarts) {
    start();
    const std::string committed = status().sha256;
    install("broken_longer_descriptor");
    const auto artifact = act({});
    ASSERT_EQ(artifact.outcome, "committed");
    // What a killed daemon leaves behind.
    ASSERT_TRUE(host_->history().commit("broken", committed, committed));
    ASSERT_TRUE(host_->history().set_baking("broken", artifact.sha256));
    host_.reset();
    {
        auto history = std::move(
            *History::open(dir_ / "plugins.db", clock_, sqlite::Durability::kUnsyncedForTest));
        ASSERT_TRUE(history->set_baking("broken", artifact.sha256));
    }
    start();
    EXPECT_EQ(status().sha256, committed);
    EXPECT_TRUE(*host_->history().quarantined(artifact.sha256));
    EXPECT_FALSE(host_->alarms().empty());
    EXPECT_EQ(call(), "ok");
}

TEST_F(StartTest, AFileThatBakedWhileTheDaemonDiedInAnotherCallIsNotQuarantined) {
    start();
    const std::string committed = status().sha256;
    ASSERT_TRUE(host_->history().set_baking("broken", "abc"));
    ASSERT_TRUE(host_->history().begin_call({"other", "def", kLoadingPhase}));
    start();
    EXPECT_EQ(status().sha256, committed);
    EXPECT_FALSE(*host_->history().quarantined("abc"));
    EXPECT_FALSE(*host_->history().quarantined("def"));
    EXPECT_TRUE(testing::has_logged("plugin other: the daemon died inside load, create"));
}

TEST_F(StartTest, AStartWithMoreTimeForTheProbeTakesAFileThatWasTooSlow) {
    host_clock_ = &system_clock();
    install("broken_slow_create");
    config_.policy.probe_timeout = milliseconds(200);
    const auto slow = try_start();
    ASSERT_FALSE(slow);
    EXPECT_NE(slow.error().message.find("raise [plugins] probe_timeout_s"), std::string::npos);
    config_.policy.probe_timeout = milliseconds(60'000);
    start();
    EXPECT_EQ(call(), "ok");
    EXPECT_TRUE(host_->history().all_quarantined()->empty());
}

TEST_F(StartTest, ACommittedFileFromElsewhereSurvivesARestartUntilTheConfiguredOneChanges) {
    start();
    const std::string configured = status().sha256;
    ReloadRequest request;
    request.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    const std::string other = act(request).sha256;
    start();
    EXPECT_EQ(status().sha256, other);
    install("broken_newer_minor");
    start();
    EXPECT_NE(status().sha256, other);
    EXPECT_NE(status().sha256, configured);
}

TEST_F(StartTest, AStartWithABadFileFallsBackToTheCommittedOne) {
    start();
    const std::string committed = status().sha256;
    install("broken_self_test_fails");
    start();
    EXPECT_EQ(status().sha256, committed);
    ASSERT_FALSE(host_->alarms().empty());
    EXPECT_NE(host_->alarms()[0].cause.find("the oracle is silent"), std::string::npos);
}

TEST_F(StartTest, AStartWithANewFileBakesAndIsTakenBack) {
    start();
    const std::string committed = status().sha256;
    config_.policy.bake = milliseconds(60'000);
    install("broken_faulty_later");
    start();
    EXPECT_EQ(states(), (std::vector<std::string>{"baking", "warm"}));
    for (int count = 0; count < 450; ++count) (void)call();
    ASSERT_TRUE(eventually([&] { return status().sha256 == committed; }));
    EXPECT_EQ(call(), "ok");
}

TEST_F(StartTest, ACommittedFileIsNotQuarantinedForABusyMachine) {
    install("broken_slow_create");
    host_clock_ = &system_clock();
    config_.policy.probe_timeout = milliseconds(60'000);
    start();
    const std::string committed = status().sha256;
    config_.policy.probe_timeout = milliseconds(200);
    EXPECT_FALSE(try_start());
    EXPECT_FALSE(*host_->history().quarantined(committed));
    config_.policy.probe_timeout = milliseconds(60'000);
    start();
    EXPECT_EQ(status().sha256, committed);
}

TEST_F(StartTest, ASectionThatASighupTakesAwayLeavesWhatWasCommitted) {
    host_clock_ = &system_clock();
    config_.policy.probe_timeout = milliseconds(60'000);
    install("broken_slow_create");
    start();
    const std::string committed = status().sha256;
    open_host();
    Result<void> started;
    std::thread starting([&] { started = host_->start(config_); });
    EXPECT_TRUE(eventually([&] {
        const auto report = host_->report(1);
        return report && !report->steps.empty();  // The committed file is on its way.
    }));
    HostConfig without = config_;
    without.plugins.clear();
    host_->reconfigure(without, "SIGHUP");
    starting.join();
    EXPECT_TRUE(started);
    EXPECT_EQ(status().sha256, committed);
    EXPECT_EQ(call(), "ok");
}

TEST_F(StartTest, ASighupDuringAStartLeavesTheWayToABake) {
    start();
    open_host();
    Result<void> started;
    std::thread starting([&] { started = host_->start(config_); });
    EXPECT_TRUE(eventually([&] { return host_->report(1).has_value(); }));
    host_->reconfigure(config_, "SIGHUP");
    starting.join();
    const auto ends = [&](std::uint64_t id) {
        return eventually([&] { return host_->report(id) && host_->report(id)->ended(); });
    };
    EXPECT_TRUE(ends(2));
    config_.policy.bake = std::chrono::hours(24);
    host_->reconfigure(config_, "SIGHUP");
    EXPECT_TRUE(ends(3));
    EXPECT_EQ(reload("broken_longer_descriptor", false).outcome, "baking");
}

TEST_F(StartTest, APluginThatASighupAddsAndThatIsRefusedIsUnavailable) {
    start();
    HostConfig more = config_;
    more.plugins.push_back({"other", dir_ / "missing.so", "", {}});
    host_->reconfigure(more, "SIGHUP");
    EXPECT_TRUE(eventually([&] { return host_->left_out("") == "other"; }));
    const auto alarms = host_->alarms();
    ASSERT_EQ(alarms.size(), 1U);
    EXPECT_EQ(alarms[0].subject, "other");
    EXPECT_TRUE(alarms[0].cause.starts_with("not loaded; unavailable methods: all"));
    host_->reconfigure(config_, "SIGHUP");
    EXPECT_TRUE(eventually([&] { return host_->alarms().empty(); }));
    EXPECT_EQ(host_->left_out(""), std::nullopt);
}

TEST_F(StartTest, AProbeThatHasNotBegunIsNoFaultOfTheFile) {
    probe_program_ = dir_.write("busy", "#!/bin/sh\nexec tail -f /dev/null\n");
    std::filesystem::permissions(probe_program_, std::filesystem::perms(0700));
    open_host();
    Result<void> started;
    std::atomic<bool> ended{false};
    std::thread starting([&] {
        started = host_->start(config_);
        ended = true;
    });
    EXPECT_TRUE(eventually([&] {
        clock_.advance(config_.policy.probe_timeout);
        return ended.load();
    }));
    starting.join();
    ASSERT_FALSE(started);
    EXPECT_NE(started.error().message.find("still starting"), std::string::npos);
    EXPECT_TRUE(host_->history().all_quarantined()->empty());
    probe_program_ = testing::probe_program();
    start();
    EXPECT_EQ(call(), "ok");
}

TEST_F(StartTest, AFileWhoseProbeEndsTheDaemonTwiceIsLeftToOperators) {
    start();
    const std::string committed = status().sha256;
    install("broken_longer_descriptor");
    ReloadRequest dry;
    dry.dry_run = true;
    const std::string bad = act(dry).sha256;
    const PluginCallMark probe{"broken", bad, kProbingPhase};
    ASSERT_TRUE(host_->history().begin_call(probe));
    ASSERT_EQ(host_->history().count_interrupted_calls()->at(0).deaths, 1);
    ASSERT_TRUE(host_->history().begin_call(probe));
    start();
    EXPECT_EQ(status().sha256, committed);
    ASSERT_EQ(host_->alarms().size(), 1U);
    EXPECT_NE(host_->alarms()[0].cause.find("the daemon died 2 times in a row during its probe"),
              std::string::npos);
    EXPECT_FALSE(*host_->history().quarantined(bad));
    const auto entries = host_->history().entries("broken", 10);
    EXPECT_EQ(std::ranges::count(*entries, "crashed", &HistoryEntry::outcome), 1);
    EXPECT_EQ(act({}).outcome, "committed");
    EXPECT_EQ(status().sha256, bad);
    start();
    EXPECT_EQ(status().sha256, bad);
}

TEST_F(StartTest, AConfiguredFileThatHangsDoesNotHoldUpWhatWasCommitted) {
    config_.plugins.push_back({"minimal", testing::install_plugin(dir_, "minimal_c"), "", {}});
    start();
    install("broken_create_hangs");
    open_host();
    Result<void> started;
    std::thread starting([&] { started = host_->start(config_); });
    EXPECT_TRUE(eventually([&] { return host_->list().size() == 2; }));
    clock_.advance(limits::kPluginStartPatience);
    starting.join();
    EXPECT_TRUE(started);
    EXPECT_EQ(call(), "ok");
    EXPECT_TRUE(eventually([&] {
        clock_.advance(config_.policy.probe_timeout);
        return std::ranges::any_of(host_->alarms(), [](const model::Alarm& alarm) {
            return alarm.cause.find("runs the committed") != std::string::npos;
        });
    }));
}

}  // namespace
}  // namespace export_worker::plugins
