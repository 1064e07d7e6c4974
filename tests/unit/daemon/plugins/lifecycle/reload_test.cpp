// Reloads from request to end, with real images and real probes, without sockets.
#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <set>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

using std::chrono::milliseconds;
using testing::eventually;

class ReloadTest : public ::testing::Test {
protected:
    void SetUp() override {
        file_ = install("broken_nothing");
        config_.plugins = {{"broken", file_, "", {}}};
        config_.policy.bake = milliseconds(0);
        config_.policy.drain = milliseconds(400);
    }
    void start() {
        const auto started = try_start();
        ASSERT_TRUE(started) << started.error().message;
    }
    Result<void> try_start() {
        host_.reset();
        HostOptions options =
            testing::host_options(dir_, {host_clock_, nullptr, nullptr, nullptr, {}});
        options.ledger = &ledger_;
        host_ = std::move(*PluginHost::open(options));
        slot_ = &host_->routing().take_slot("test worker");
        return host_->start(config_);
    }
    // The fixture, under the configured name.
    std::string install(const std::string& fixture) {
        const std::string from = testing::install_plugin(dir_, fixture);
        const std::string to = dir_ / "plugin.so";
        std::filesystem::rename(from, to);
        return to;
    }
    ReloadReport wait(std::uint64_t id, bool to_the_end = true) {
        std::optional<ReloadReport> report;
        const bool there = eventually([&] {
            report = host_->report(id);
            return report && report->outcome != "running" &&
                   (!to_the_end || report->outcome != "baking");
        });
        if (there) return *report;
        ADD_FAILURE() << "report " << id << " does not end";
        return {};
    }
    ReloadReport act(ReloadRequest request, bool to_the_end = true) {
        request.plugin = "broken";
        const auto id = host_->submit(request);
        if (!id) {
            ADD_FAILURE() << id.error().message;
            return {};
        }
        return wait(*id, to_the_end);
    }
    ReloadReport reload(const std::string& fixture, bool to_the_end = true) {
        install(fixture);
        return act({}, to_the_end);
    }
    // For a file that hangs in its probe: lets time pass until the action has ended.
    ReloadReport act_until_time_out(ReloadRequest request) {
        request.plugin = "broken";
        const auto id = host_->submit(request);
        if (!id) {
            ADD_FAILURE() << id.error().message;
            return {};
        }
        EXPECT_TRUE(eventually([&] {
            clock_.advance(config_.policy.probe_timeout);
            return host_->report(*id)->ended();
        }));
        return *host_->report(*id);
    }
    // The report of a dry run that stays in its probe until the clock has passed probe_timeout.
    std::uint64_t begin_a_hanging_probe() { return begin_a_probe("broken_create_hangs"); }
    std::uint64_t begin_a_probe(const std::string& fixture) {
        ReloadRequest dry;
        dry.plugin = "broken";
        dry.dry_run = true;
        dry.file = testing::install_plugin(dir_, fixture);
        const std::uint64_t id = *host_->submit(dry);
        EXPECT_TRUE(eventually([&] { return host_->report(id)->steps.size() == 2; }));
        return id;
    }
    // The outcome of one request, answered as the dispatcher would; `answered_by` says by which
    // generation, `took` is how long it takes by the host's clock.
    std::string call(PinSlot& slot, std::uint64_t* answered_by = nullptr,
                     milliseconds took = milliseconds(0)) {
        const SteadyTime started = host_clock_->steady() - took;
        const Pin pin = host_->routing().pin("broken.do", "r1", started, slot);
        if (pin.route().generation == nullptr) return "nobody";
        message::Request request;
        request.id = "r1";
        request.method = "broken.do";
        request.params = "\x80";
        PluginCall call;
        call.reset();
        pin.route().generation->handle(request, started, 0, slot.number(), call);
        if (answered_by != nullptr) *answered_by = pin.route().generation->number();
        return call.writer.has_error ? std::string(to_string(call.writer.error.code)) : "ok";
    }
    std::string call() { return call(*slot_); }
    PluginStatus status() { return host_->list().at(0); }
    std::vector<std::string> states() {
        std::vector<std::string> out;
        for (const auto& generation : status().generations) out.push_back(generation.state);
        return out;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    const Clock* host_clock_ = &clock_;
    model::Ledger ledger_;
    std::string file_;
    HostConfig config_;
    std::unique_ptr<PluginHost> host_;
    PinSlot* slot_ = nullptr;
};

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

TEST_F(ReloadTest, ABakeEndsWithACommit) {
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

TEST_F(ReloadTest, TheMachinesClockEndsABake) {
    host_clock_ = &system_clock();
    config_.policy.bake = milliseconds(20);
    start();
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    EXPECT_EQ(status().bake_left, std::nullopt);
}

TEST_F(ReloadTest, WhileItBakesAnotherReloadIsBusyAndACommitEndsIt) {
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

TEST_F(ReloadTest, ASighupDuringABakeBlocksNeitherRollbackNorCommitAndUndoesNeither) {
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

TEST_F(ReloadTest, ARollbackOfABakeWaitsForNoProbe) {
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

TEST_F(ReloadTest, ARollbackThatTheBakeHasForestalledGoesNoFurtherBack) {
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

TEST_F(ReloadTest, AnOperatorTakesBackTheFileThatBakesSinceTheStart) {
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

TEST_F(ReloadTest, FaultsDuringTheBakeTakeItBackAndQuarantineIt) {
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

TEST_F(ReloadTest, SlownessDuringTheBakeTakesItBack) {
    config_.policy.bake = milliseconds(60'000);
    start();
    for (int count = 0; count < 200; ++count) ASSERT_EQ(call(), "ok");
    const ReloadReport report = reload("broken_longer_descriptor", false);
    for (int count = 0; count < 200; ++count) (void)call(*slot_, nullptr, milliseconds(20));
    EXPECT_EQ(wait(report.id).outcome, "rolled_back");
    EXPECT_NE(wait(report.id).rolled_back_because->find("stay within"), std::string::npos);
}

TEST_F(ReloadTest, AStuckHandlerIsTakenBackParkedForEverAndBlocksNothing) {
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
    const bool named = std::ranges::any_of(alarms, [](const std::string& alarm) {
        return alarm.find("stuck worker is stuck in request r1") != std::string::npos;
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

TEST_F(ReloadTest, TheBudgetEndsEndlessParking) {
    config_.policy.generations_max = 3;
    start();
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
    EXPECT_EQ(reload("broken_nothing").outcome, "committed");
    const ReloadReport refused = reload("broken_newer_minor");
    EXPECT_EQ(refused.refusal->code, "budget");
    EXPECT_NE(refused.refusal->hint.find("restart"), std::string::npos);
    EXPECT_EQ(call(), "ok");
}

#if !defined(EXPORT_WORKER_SANITIZED)  // The runtimes keep every image for their reports.
TEST_F(ReloadTest, WithACleanCertificateTheOldImageIsUnmapped) {
    config_.policy.unmap = true;
    start();
    const ReloadReport report = reload("broken_longer_descriptor");
    EXPECT_TRUE(report.pinned_by.empty());
    ASSERT_TRUE(eventually([&] { return status().unmapped == 1; }));
    EXPECT_EQ(states(), std::vector<std::string>{"active"});
    std::size_t copies = 0;
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "plugins/live")) {
        ++copies;
        EXPECT_NE(testing::read_text("/proc/self/maps").find(entry.path()), std::string::npos);
    }
    EXPECT_EQ(copies, 1U);
}

TEST_F(ReloadTest, AnUncleanCertificateParksAndSaysWhy) {
    config_.policy.unmap = true;
    start();
    const ReloadReport report = reload("broken_tls_destructor");
    ASSERT_FALSE(report.pinned_by.empty());
    EXPECT_NE(report.pinned_by[0].find("thread-local destructor"), std::string::npos);
    EXPECT_EQ(reload("broken_nothing").outcome, "committed");
    EXPECT_TRUE(eventually([&] {
        return states() == std::vector<std::string>{"active", "parked"};
    }));
}
#endif

TEST_F(ReloadTest, RollsBackToCommittedFilesByHash) {
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
    for (const auto& entry : std::filesystem::directory_iterator(dir_ / "plugins/artefacts"))
        kept.insert(entry.path().stem().string());
    EXPECT_EQ(kept, committed);
}

TEST_F(ReloadTest, AnOperatorTakesABakingGenerationBackWithoutQuarantine) {
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

TEST_F(ReloadTest, AfterACrashWhileBakingTheCommittedFileStarts) {
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

TEST_F(ReloadTest, AFileThatBakedWhileTheDaemonDiedInAnotherCallIsNotQuarantined) {
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

TEST_F(ReloadTest, AStartWithMoreTimeForTheProbeTakesAFileThatWasTooSlow) {
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

TEST_F(ReloadTest, ACommittedFileFromElsewhereSurvivesARestartUntilTheConfiguredOneChanges) {
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

TEST_F(ReloadTest, AStartWithABadFileFallsBackToTheCommittedOne) {
    start();
    const std::string committed = status().sha256;
    install("broken_self_test_fails");
    start();
    EXPECT_EQ(status().sha256, committed);
    ASSERT_FALSE(host_->alarms().empty());
    EXPECT_NE(host_->alarms()[0].find("the oracle is silent"), std::string::npos);
}

TEST_F(ReloadTest, AStartWithANewFileBakesAndIsTakenBack) {
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

TEST_F(ReloadTest, ABakeGoesOnUntilItsCommitIsWrittenDown) {
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

TEST_F(ReloadTest, WhileItBakesOnlyTheOneBeforeIsATarget) {
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

// --- What an operator has decided stands ---

TEST_F(ReloadTest, ASighupAndARestartLeaveARollbackAlone) {
    start();
    const std::string first = status().sha256;
    const std::string second = reload("broken_longer_descriptor").sha256;
    ReloadRequest back;
    back.action = Action::kRollback;
    EXPECT_EQ(act(back).sha256, first);
    EXPECT_EQ(status().pinned, "rollback");
    ASSERT_FALSE(host_->alarms().empty());
    EXPECT_NE(host_->alarms()[0].find("pinned to " + first.substr(0, 16) + " by rollback"),
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

TEST_F(ReloadTest, AFileFromElsewhereStaysUntilTheConfiguredOneChanges) {
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

TEST_F(ReloadTest, AnUnpinLetsTheConfiguredFileCountAgain) {
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

TEST_F(ReloadTest, AReloadOfWhatAlreadyServesLiftsThePin) {
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

TEST_F(ReloadTest, AnAutomaticReloadThatIsRefusedIsAnAlarmUntilTheFileIsMended) {
    start();
    install("broken_self_test_fails");
    ReloadRequest sighup;
    sighup.trigger = "SIGHUP";
    EXPECT_EQ(act(sighup).outcome, "refused");
    ASSERT_EQ(host_->alarms().size(), 1U);
    EXPECT_NE(host_->alarms()[0].find("the configured file was refused (SIGHUP)"),
              std::string::npos);
    install("broken_nothing");
    EXPECT_EQ(act(sighup).outcome, "unchanged");
    EXPECT_TRUE(host_->alarms().empty());
}

TEST_F(ReloadTest, OperatorsGoBeforeWhatCameByItself) {
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

TEST_F(ReloadTest, FiveHundredRefusalsLeaveTheWayBack) {
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

TEST_F(ReloadTest, ABakeIsWatchedWhileAnotherFileIsProbed) {
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

TEST_F(ReloadTest, ABakeCanDemandRequests) {
    config_.policy.bake = milliseconds(300);
    config_.policy.bake_requests_min = 3;
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    ASSERT_EQ(report.outcome, "baking");
    EXPECT_EQ(call(), "ok");
    clock_.advance(milliseconds(300));
    EXPECT_TRUE(eventually([&] { return !host_->alarms().empty(); }));
    EXPECT_NE(host_->alarms()[0].find("bakes on until 2 more requests"), std::string::npos);
    EXPECT_EQ(host_->report(report.id)->outcome, "baking");
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(wait(report.id).outcome, "committed");
    EXPECT_TRUE(host_->alarms().empty());
}

TEST_F(ReloadTest, ABakeWithoutTrafficSaysSo) {
    config_.policy.bake = milliseconds(300);
    start();
    const ReloadReport report = reload("broken_longer_descriptor", false);
    clock_.advance(milliseconds(300));
    EXPECT_EQ(wait(report.id).outcome, "committed");
    EXPECT_EQ(host_->history().entries("broken", 1)->at(0).detail,
              "no request came while it baked");
}

TEST_F(ReloadTest, RefusedLoadsDoNotUseUpTheBudget) {
    config_.policy.generations_max = 2;
    start();
    for (int count = 0; count < 4; ++count) {
        // Its create() fails in the daemon only; the image is unmapped again.
        const ReloadReport refused = reload("broken_create_fails_later");
        ASSERT_TRUE(refused.refusal);
        EXPECT_EQ(refused.refusal->code, "create_failed");
    }
    EXPECT_EQ(reload("broken_longer_descriptor").outcome, "committed");
}

TEST_F(ReloadTest, WhatAnOperatorNamesStandsEvenIfItServesAlready) {
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

TEST_F(ReloadTest, APinEndsWhenTheConfiguredFileBecomesThePinnedOne) {
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

TEST_F(ReloadTest, ARollbackThatCannotBeWrittenDownSaysSoUntilItIs) {
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
    EXPECT_NE(host_->alarms()[0].find("pinned to"), std::string::npos);
    EXPECT_NE(host_->alarms()[1].find("not written down yet"), std::string::npos);
    testing::allow_writes(dir_ / "plugins.db");
    clock_.advance(std::chrono::seconds(1));
    EXPECT_TRUE(eventually([&] { return host_->alarms().size() == 1; }));
    EXPECT_EQ(host_->history().record("broken")->pinned, "rollback");
    EXPECT_EQ(host_->history().record("broken")->baking_sha256, "");
    EXPECT_EQ(host_->history().record("broken")->committed_sha256, first);
}

TEST_F(ReloadTest, ACommittedFileIsNotQuarantinedForABusyMachine) {
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
