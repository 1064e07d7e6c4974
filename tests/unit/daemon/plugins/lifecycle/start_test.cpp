// Starts of plugins: what history says serves, then the configured file is tried.
#include "tests/unit/support/lifecycle_fixture.hpp"
#include "tests/unit/support/log.hpp"

namespace export_worker::plugins {
namespace {

class StartTest : public LifecycleTest {};

TEST_F(StartTest, AfterACrashWhileBakingTheCommittedFileStarts) {
    start();
    const std::string committed = status().sha256;
    install("broken_longer_descriptor");
    const auto artefact = act({});
    ASSERT_EQ(artefact.outcome, "committed");
    // What a killed daemon leaves behind.
    ASSERT_TRUE(host_->history().commit("broken", committed, committed));
    ASSERT_TRUE(host_->history().set_baking("broken", artefact.sha256));
    host_.reset();
    {
        auto history = std::move(
            *History::open(dir_ / "plugins.db", clock_, sqlite::Durability::kUnsyncedForTest));
        ASSERT_TRUE(history->set_baking("broken", artefact.sha256));
    }
    start();
    EXPECT_EQ(status().sha256, committed);
    EXPECT_TRUE(*host_->history().quarantined(artefact.sha256));
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
    EXPECT_NE(host_->alarms()[0].find("the oracle is silent"), std::string::npos);
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

}  // namespace
}  // namespace export_worker::plugins
