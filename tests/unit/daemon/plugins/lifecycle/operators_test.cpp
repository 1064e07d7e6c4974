// What operators ask for, and that what they have decided stands.
#include <algorithm>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/lifecycle_fixture.hpp"

namespace export_worker::plugins {
namespace {

class OperatorsTest : public LifecycleTest {};

TEST_F(OperatorsTest, WhileItBakesAnotherReloadIsBusyAndACommitEndsIt) {
    config_.policy.bake = milliseconds(60'000);
    start();
    EXPECT_EQ(reload("broken_longer_descriptor", false).outcome, "baking");
    ReloadRequest other;
    other.plugin = "broken";
    const auto busy = host_->submit(other);
    ASSERT_FALSE(busy);
    EXPECT_EQ(busy.error().code, ErrorCode::kConflict);
    EXPECT_NE(busy.error().message.find("busy"), std::string::npos);
    ReloadRequest commit;
    commit.action = Action::kCommit;
    EXPECT_EQ(act(commit).outcome, "committed");
    EXPECT_EQ(act(commit).refusal->code, "not_baking");
    EXPECT_EQ(status().generation, 2U);
}

TEST_F(OperatorsTest, ASighupDuringABakeBlocksNeitherRollbackNorCommitAndUndoesNeither) {
    config_.policy.bake = std::chrono::hours(24);
    for (const Action action : {Action::kRollback, Action::kCommit}) {
        start();
        const ReloadReport baking = reload("broken_longer_descriptor", false);
        ASSERT_EQ(baking.outcome, "baking");
        config_.plugins[0].settings["round"] = std::to_string(static_cast<int>(action));
        host_->reconfigure(config_, "SIGHUP");
        const auto waiting = host_->report(baking.id + 1);
        ASSERT_TRUE(waiting);
        EXPECT_EQ(waiting->outcome, "running");
        EXPECT_EQ(waiting->steps.at(0).detail, "waits for the end of the bake");
        ReloadRequest by_hand;
        by_hand.action = action;
        EXPECT_EQ(act(by_hand).outcome, "committed");
        const ReloadReport cancelled = wait(waiting->id);
        ASSERT_TRUE(cancelled.refusal);
        EXPECT_EQ(cancelled.refusal->code, "superseded");
        const auto history = host_->history().entries("broken", 10);
        EXPECT_GE(std::ranges::count(*history, "superseded", &HistoryEntry::code), 1);
        EXPECT_EQ(status().generation, action == Action::kRollback ? 1U : 2U);
        EXPECT_EQ(status().bake_left, std::nullopt);
        install("broken_nothing");
    }
}

TEST_F(OperatorsTest, ARollbackOfABakeWaitsForNoProbe) {
    config_.policy.bake = std::chrono::hours(24);
    start();
    ASSERT_EQ(reload("broken_longer_descriptor", false).outcome, "baking");
    const std::uint64_t probing = begin_a_hanging_probe();
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).outcome, "committed");
    EXPECT_EQ(status().generation, 1U);
    EXPECT_EQ(host_->report(probing)->outcome, "running");
    EXPECT_TRUE(eventually([&] {
        clock_.advance(config_.policy.probe_timeout);
        return host_->report(probing)->ended();
    }));
    EXPECT_EQ(host_->report(probing)->refusal->code, "probe_timeout");
}

TEST_F(OperatorsTest, ARollbackThatTheBakeHasForestalledGoesNoFurtherBack) {
    start();
    ASSERT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    config_.policy.bake = std::chrono::hours(24);
    start();
    const std::uint64_t good = status().generation;
    const ReloadReport faulty = reload("broken_faulty_later", false);
    ASSERT_EQ(faulty.outcome, "baking");
    for (int count = 0; count < 400; ++count) ASSERT_EQ(call(), "ok");
    for (int count = 0; count < 10; ++count) (void)call();
    EXPECT_EQ(wait(faulty.id).outcome, "rolled_back");
    ReloadRequest back;
    back.action = Action::kRollback;
    back.baking_generation = faulty.generation;  // As submit() has it for one that came in time.
    EXPECT_EQ(act(back).outcome, "unchanged");
    EXPECT_EQ(status().generation, good);
}

TEST_F(OperatorsTest, AnOperatorTakesBackTheFileThatBakesSinceTheStart) {
    start();
    const std::string committed = status().sha256;
    config_.policy.bake = std::chrono::hours(24);
    install("broken_longer_descriptor");
    start();
    ASSERT_EQ(states(), (std::vector<std::string>{"baking", "warm"}));
    const std::string baked = status().sha256;
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).outcome, "committed");
    EXPECT_EQ(status().sha256, committed);
    EXPECT_EQ(status().bake_left, std::nullopt);
    EXPECT_FALSE(*host_->history().quarantined(baked));
    EXPECT_EQ(host_->history().record("broken")->baking_sha256, "");
    EXPECT_EQ(call(), "ok");
}

TEST_F(OperatorsTest, RollsBackToCommittedFilesByHash) {
    start();
    const std::string first = status().sha256;
    const std::string second = reload("broken_longer_descriptor").sha256;
    EXPECT_EQ(reload("broken_newer_minor").outcome, "committed");
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).sha256, second);  // The one before.
    back.to_sha256 = first.substr(0, 12);
    EXPECT_EQ(act(back).sha256, first);
    back.to_sha256 = "0000000000000000";
    EXPECT_EQ(act(back).refusal->code, "unknown_hash");
}

TEST_F(OperatorsTest, AnOperatorTakesABakingGenerationBackWithoutQuarantine) {
    config_.policy.bake = milliseconds(60'000);
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).outcome, "committed");
    EXPECT_EQ(wait(report.id).outcome, "rolled_back");
    EXPECT_EQ(status().generation, 1U);
    EXPECT_EQ(act({}, false).outcome, "baking");
}

TEST_F(OperatorsTest, WhileItBakesOnlyTheOneBeforeIsATarget) {
    config_.policy.bake = milliseconds(60'000);
    start();
    const std::string first = status().sha256;
    ASSERT_EQ(reload("broken_newer_minor", false).outcome, "baking");
    ReloadRequest commit;
    commit.action = Action::kCommit;
    ASSERT_EQ(act(commit).outcome, "committed");
    ASSERT_EQ(reload("broken_longer_descriptor", false).outcome, "baking");
    ReloadRequest back;
    back.action = Action::kRollback;
    back.to_sha256 = first;
    const ReloadReport refused = act(back);
    ASSERT_TRUE(refused.refusal);
    EXPECT_EQ(refused.refusal->code, "busy");
    EXPECT_EQ(refused.refusal->hint, "end the bake first: exportctl plugin rollback broken");
    EXPECT_EQ(status().generation, 3U);
}

TEST_F(OperatorsTest, ACommitByHandIsOneEntryOfTheHistory) {
    config_.policy.bake = std::chrono::hours(24);
    start();
    const ReloadReport baking = reload("broken_longer_descriptor", false);
    ReloadRequest commit;
    commit.action = Action::kCommit;
    EXPECT_EQ(act(commit).outcome, "committed");
    EXPECT_EQ(wait(baking.id).outcome, "committed");
    const auto entries = host_->history().entries("broken", 10);
    const auto of_file = [&](const HistoryEntry& entry) {
        return entry.sha256 == baking.sha256 && entry.outcome == "committed";
    };
    EXPECT_EQ(std::ranges::count_if(*entries, of_file), 1);
}

// --- What an operator has decided stands ---

TEST_F(OperatorsTest, ASighupAndARestartLeaveARollbackAlone) {
    start();
    const std::string first = status().sha256;
    const std::string second = reload("broken_longer_descriptor").sha256;
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).sha256, first);
    EXPECT_EQ(status().pinned, "rollback");
    ASSERT_FALSE(host_->alarms().empty());
    EXPECT_NE(host_->alarms()[0].cause.find("pinned to " + first.substr(0, 16) + " by rollback"),
              std::string::npos);
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    EXPECT_EQ(act(sighup).outcome, "unchanged");
    start();
    EXPECT_EQ(status().sha256, first);
    EXPECT_EQ(status().pinned, "rollback");
    // New settings reach the file that was decided on.
    config_.plugins[0].settings = {{"colour", "blue"}};
    host_->reconfigure(config_, "SIGHUP");
    EXPECT_TRUE(eventually([&] { return status().generation == 2; }));
    EXPECT_EQ(status().sha256, first);
    EXPECT_EQ(status().pinned, "rollback");
    // An operator takes the configured file.
    EXPECT_EQ(act({}).sha256, second);
    EXPECT_EQ(status().pinned, "");
}

TEST_F(OperatorsTest, AFileFromElsewhereStaysUntilTheConfiguredOneChanges) {
    start();
    ReloadRequest request;
    request.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    const std::string other = act(request).sha256;
    EXPECT_EQ(status().pinned, "reload --file");
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    EXPECT_EQ(act(sighup).outcome, "unchanged");
    EXPECT_EQ(status().sha256, other);
    install("broken_newer_minor");
    EXPECT_EQ(act(sighup).outcome, "committed");
    EXPECT_NE(status().sha256, other);
    EXPECT_EQ(status().pinned, "");
}

TEST_F(OperatorsTest, AnUnpinLetsTheConfiguredFileCountAgain) {
    start();
    const std::string configured = status().sha256;
    ReloadRequest request;
    request.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    EXPECT_EQ(act(request).outcome, "committed");
    ReloadRequest unpin;
    unpin.action = Action::kUnpin;
    EXPECT_EQ(act(unpin).outcome, "unpinned");
    EXPECT_EQ(act(unpin).outcome, "unchanged");
    EXPECT_TRUE(host_->alarms().empty());
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    EXPECT_EQ(act(sighup).sha256, configured);
    EXPECT_EQ(status().sha256, configured);
}

TEST_F(OperatorsTest, AReloadOfWhatAlreadyServesLiftsThePin) {
    start();
    const std::string first = status().sha256;
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).outcome, "committed");
    install("broken_nothing");  // What the rollback has gone back to.
    EXPECT_EQ(act({}).outcome, "unchanged");
    EXPECT_EQ(status().sha256, first);
    EXPECT_EQ(status().pinned, "");
}

// "Until the configured file holds something else than at that moment": of the rollback, not of the
// bake's beginning.
TEST_F(OperatorsTest, ARollbackOfABakeStandsAgainstAFileThatChangedDuringTheBake) {
    config_.policy.bake = std::chrono::hours(1);
    start();
    const std::string first = status().sha256;
    ReloadRequest by_hand;
    by_hand.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    EXPECT_EQ(act(by_hand, false).outcome, "baking");
    install("broken_newer_minor");
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).outcome, "committed");
    EXPECT_EQ(status().sha256, first);
    EXPECT_EQ(status().pinned, "rollback");
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    EXPECT_EQ(act(sighup).outcome, "unchanged");
    EXPECT_EQ(status().sha256, first);
    start();
    EXPECT_EQ(status().sha256, first);
}

TEST_F(OperatorsTest, OperatorsGoBeforeWhatCameByItself) {
    start();
    const std::uint64_t probing = begin_a_probe("broken_slow_create");
    host_->reconfigure(config_, "SIGHUP");
    ReloadRequest by_hand;
    by_hand.plugin = "broken";
    by_hand.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    const auto id = host_->submit(by_hand);
    ASSERT_TRUE(id) << id.error().message;
    const auto busy = host_->submit(by_hand);
    ASSERT_FALSE(busy);
    EXPECT_NE(busy.error().message.find("report " + std::to_string(*id)), std::string::npos);
    EXPECT_EQ(wait(probing).outcome, "would_publish");
    EXPECT_EQ(wait(*id).outcome, "committed");
    EXPECT_EQ(wait(probing + 1).outcome, "unchanged");  // It finds the file pinned.
    EXPECT_EQ(status().pinned, "reload --file");
}

TEST_F(OperatorsTest, FiveHundredRefusalsLeaveTheWayBack) {
    start();
    const std::string first = status().sha256;
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    for (std::size_t count = 0; count < limits::kPluginHistoryMax + 10; ++count) {
        ASSERT_TRUE(host_->history().add(
            {0, "broken", 0, "operator", "", "x", "", 0, "refused", "lint", "no"}));
    }
    EXPECT_EQ(reload("broken_self_test_fails").outcome, "refused");
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).sha256, first);
}

TEST_F(OperatorsTest, WhatAnOperatorNamesStandsEvenIfItServesAlready) {
    start();
    const std::string configured = status().sha256;
    ReloadRequest request;
    request.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    const std::string other = act(request).sha256;
    ReloadRequest unpin;
    unpin.action = Action::kUnpin;
    EXPECT_EQ(act(unpin).outcome, "unpinned");
    EXPECT_EQ(act(request).outcome, "unchanged");
    EXPECT_EQ(status().pinned, "reload --file");
    EXPECT_EQ(act(unpin).outcome, "unpinned");
    ReloadRequest back;
    back.action = Action::kRollback;
    back.to_sha256 = other;
    EXPECT_EQ(act(back).outcome, "unchanged");
    start();
    EXPECT_EQ(status().sha256, other);
    EXPECT_EQ(status().pinned, "rollback");
    EXPECT_NE(other, configured);
}

TEST_F(OperatorsTest, APinEndsWhenTheConfiguredFileBecomesThePinnedOne) {
    start();
    const std::string first = status().sha256;
    ReloadRequest request;
    request.file = testing::install_plugin(dir_, "broken_longer_descriptor");
    EXPECT_EQ(act(request).outcome, "committed");
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    install("broken_longer_descriptor");
    EXPECT_EQ(act(sighup).outcome, "unchanged");
    EXPECT_EQ(status().pinned, "");
    install("broken_nothing");  // A downgrade is a change like any other.
    EXPECT_EQ(act(sighup).sha256, first);
    EXPECT_EQ(status().sha256, first);
}

TEST_F(OperatorsTest, ARollbackThatCannotBeWrittenDownSaysSoUntilItIs) {
    config_.policy.bake = std::chrono::hours(24);
    start();
    const std::string first = status().sha256;
    ASSERT_EQ(reload("broken_longer_descriptor", false).outcome, "baking");
    testing::refuse_writes(dir_ / "plugins.db", "plugin");
    ReloadRequest back;
    back.action = Action::kRollback;
    const ReloadReport refused = act(back);
    ASSERT_TRUE(refused.refusal);
    EXPECT_EQ(refused.refusal->code, "io");
    EXPECT_EQ(status().sha256, first);
    ASSERT_FALSE(host_->alarms().empty());
    EXPECT_NE(host_->alarms()[0].cause.find("pinned to"), std::string::npos);
    EXPECT_NE(host_->alarms()[1].cause.find("not written down yet"), std::string::npos);
    testing::allow_writes(dir_ / "plugins.db");
    clock_.advance(std::chrono::seconds(1));
    EXPECT_TRUE(eventually([&] { return host_->alarms().size() == 1; }));
    EXPECT_EQ(host_->history().record("broken")->pinned, "rollback");
    EXPECT_EQ(host_->history().record("broken")->baking_sha256, "");
    EXPECT_EQ(host_->history().record("broken")->committed_sha256, first);
}

}  // namespace
}  // namespace export_worker::plugins
