// Bakes from their begin to their end.
#include <algorithm>
#include <fstream>
#include <thread>

#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/lifecycle_fixture.hpp"
#include "tests/unit/support/log.hpp"

namespace export_worker::plugins {
namespace {

class BakeWatchTest : public LifecycleTest {};

TEST_F(BakeWatchTest, ABakeEndsWithACommit) {
    config_.policy.bake = milliseconds(300);
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    EXPECT_EQ(report.outcome, "baking");
    EXPECT_EQ(states(), (std::vector<std::string>{"baking", "warm"}));
    EXPECT_EQ(host_->history().record("broken")->baking_sha256, report.sha256);
    clock_.advance(milliseconds(299));
    EXPECT_EQ(status().bake_left, milliseconds(1));
    clock_.advance(milliseconds(1));
    EXPECT_EQ(wait(report.id).outcome, "committed");
    EXPECT_EQ(host_->history().record("broken")->baking_sha256, "");
    EXPECT_EQ(host_->history().record("broken")->committed_sha256, report.sha256);
    EXPECT_TRUE(eventually([&] {
        return states() == std::vector<std::string>{"active", "parked"};
    }));
}

TEST_F(BakeWatchTest, TheMachinesClockEndsABake) {
    host_clock_ = &system_clock();
    config_.policy.bake = milliseconds(20);
    start();
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    EXPECT_EQ(status().bake_left, std::nullopt);
}

TEST_F(BakeWatchTest, FaultsDuringTheBakeTakeItBackAndQuarantineIt) {
    config_.policy.bake = milliseconds(60'000);
    start();
    const ReloadReport report = reload("broken_faulty_later", false);
    ASSERT_EQ(report.outcome, "baking");
    // It behaves for 400 requests, as it did in its probe.
    for (int count = 0; count < 400; ++count) ASSERT_EQ(call(), "ok");
    ASSERT_TRUE(eventually([&] { return call() == "ok" && status().generation == 1; }));
    const ReloadReport end = wait(report.id);
    EXPECT_EQ(end.outcome, "rolled_back");
    EXPECT_NE(end.rolled_back_because->find("requests failed"), std::string::npos);
    EXPECT_EQ(act({}).refusal->code, "quarantined");
    EXPECT_EQ(host_->history().record("broken")->baking_sha256, "");
    EXPECT_FALSE(host_->alarms().empty());
}

TEST_F(BakeWatchTest, SlownessDuringTheBakeTakesItBack) {
    config_.policy.bake = milliseconds(60'000);
    start();
    for (int count = 0; count < 200; ++count) ASSERT_EQ(call(), "ok");
    const ReloadReport report = reload("broken_longer_descriptor", false);
    for (int count = 0; count < 200; ++count) (void)call(*slot_, nullptr, milliseconds(20));
    EXPECT_EQ(wait(report.id).outcome, "rolled_back");
    EXPECT_NE(wait(report.id).rolled_back_because->find("stay within"), std::string::npos);
}

TEST_F(BakeWatchTest, AStuckHandlerIsTakenBackParkedForEverAndBlocksNothing) {
    config_.policy.bake = milliseconds(60'000);
    config_.policy.bounds.stall_max = milliseconds(100);
    config_.policy.drain = milliseconds(200);
    const std::string release = dir_ / "release";
    ASSERT_EQ(::setenv("BROKEN_RELEASE", release.c_str(), 1), 0);  // Before there are threads.
    start();
    const ReloadReport report = reload("broken_hangs_later", false);
    for (int count = 0; count < 400; ++count) ASSERT_EQ(call(), "ok");
    PinSlot& stuck_slot = host_->routing().take_slot("stuck worker");
    std::thread stuck([this, &stuck_slot] { (void)call(stuck_slot); });
    ASSERT_TRUE(eventually([&] { return !status().generations[0].holders.empty(); }));
    clock_.advance(config_.policy.bounds.stall_max + milliseconds(1));
    EXPECT_EQ(wait(report.id).outcome, "rolled_back");
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(states(), (std::vector<std::string>{"active", "draining"}));
    clock_.advance(config_.policy.drain);
    ASSERT_TRUE(eventually([&] {
        return states() == std::vector<std::string>{"active", "stuck"};
    }));
    const auto alarms = host_->alarms();
    const bool named = std::ranges::any_of(alarms, [](const model::Alarm& alarm) {
        return alarm.cause.find("stuck worker is stuck in request r1") != std::string::npos;
    });
    EXPECT_TRUE(named);
    ReloadRequest next;
    next.bake = false;
    install("broken_longer_descriptor");
    EXPECT_EQ(act(next).outcome, "committed");
    EXPECT_EQ(call(), "ok");
    // Once given up it stays parked, even when the handler returns after all.
    std::ofstream(release) << "now";
    stuck.join();
    ASSERT_TRUE(eventually([&] { return host_->alarms().empty(); }));
    const auto after = states();
    EXPECT_EQ(std::ranges::count(after, "stuck"), 1);
}

TEST_F(BakeWatchTest, ABakeGoesOnUntilItsCommitIsWrittenDown) {
    config_.policy.bake = milliseconds(300);
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    ASSERT_EQ(report.outcome, "baking");
    testing::refuse_writes(dir_ / "plugins.db", "plugin");
    clock_.advance(milliseconds(300));
    EXPECT_TRUE(eventually([] { return testing::has_logged("plugin broken: "); }));
    EXPECT_TRUE(eventually([&] { return status().bake_left > milliseconds(0); }));
    EXPECT_EQ(host_->report(report.id)->outcome, "baking");
    testing::allow_writes(dir_ / "plugins.db");
    clock_.advance(std::chrono::seconds(1));
    EXPECT_EQ(wait(report.id).outcome, "committed");
}

TEST_F(BakeWatchTest, ABakeIsWatchedWhileAnotherFileIsProbed) {
    config_.policy.bake = std::chrono::hours(24);
    start();
    const ReloadReport faulty = reload("broken_faulty_later", false);
    ASSERT_EQ(faulty.outcome, "baking");
    for (int count = 0; count < 400; ++count) ASSERT_EQ(call(), "ok");
    const std::uint64_t probing = begin_a_hanging_probe();
    for (int count = 0; count < 10; ++count) (void)call();
    EXPECT_EQ(wait(faulty.id).outcome, "rolled_back");
    EXPECT_EQ(host_->report(probing)->outcome, "running");
    EXPECT_EQ(call(), "ok");
    EXPECT_TRUE(eventually([&] {
        clock_.advance(config_.policy.probe_timeout);
        return host_->report(probing)->ended();
    }));
}

TEST_F(BakeWatchTest, ABakeCanDemandRequests) {
    config_.policy.bake = milliseconds(300);
    config_.policy.bake_requests_min = 3;
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    ASSERT_EQ(report.outcome, "baking");
    EXPECT_EQ(call(), "ok");
    clock_.advance(milliseconds(300));
    EXPECT_TRUE(eventually([&] { return !host_->alarms().empty(); }));
    EXPECT_NE(host_->alarms()[0].cause.find("bakes on until 2 more requests"), std::string::npos);
    EXPECT_EQ(host_->report(report.id)->outcome, "baking");
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(wait(report.id).outcome, "committed");
    EXPECT_TRUE(host_->alarms().empty());
}

TEST_F(BakeWatchTest, ABakeWithoutTrafficSaysSo) {
    config_.policy.bake = milliseconds(300);
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    clock_.advance(milliseconds(300));
    EXPECT_EQ(wait(report.id).outcome, "committed");
    EXPECT_EQ(host_->history().entries("broken", 1)->at(0).detail,
              "no request came while it baked");
}

}  // namespace
}  // namespace export_worker::plugins
