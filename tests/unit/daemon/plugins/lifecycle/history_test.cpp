#include "daemon/plugins/lifecycle/history.hpp"

#include <gtest/gtest.h>

#include "daemon/plugins/lifecycle/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

class HistoryTest : public ::testing::Test {
protected:
    void SetUp() override { reopen(); }
    void reopen() {
        history_.reset();
        history_ = std::move(
            *History::open(dir_ / "plugins.db", clock_, sqlite::Durability::kUnsyncedForTest));
    }
    void add(const std::string& sha256, const std::string& outcome) {
        HistoryEntry entry;
        entry.plugin = "p";
        entry.sha256 = sha256;
        entry.outcome = outcome;
        ASSERT_TRUE(history_->add(entry));
    }
    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<History> history_;
};

TEST_F(HistoryTest, TheMarkOfABakeSurvivesAndGoesWithTheCommit) {
    EXPECT_EQ(history_->record("p")->committed_sha256, "");
    ASSERT_TRUE(history_->commit("p", "aaa", "fff"));
    ASSERT_TRUE(history_->set_baking("p", "bbb"));
    reopen();
    EXPECT_EQ(history_->record("p")->baking_sha256, "bbb");
    EXPECT_EQ(history_->record("p")->committed_sha256, "aaa");
    ASSERT_TRUE(history_->commit("p", "bbb", "bbb"));
    EXPECT_EQ(history_->record("p")->baking_sha256, "");
    EXPECT_EQ(history_->record("p")->committed_sha256, "bbb");
    ASSERT_TRUE(history_->set_baking("p", "ccc"));
    ASSERT_TRUE(history_->clear_baking("p"));
    EXPECT_EQ(history_->record("p")->baking_sha256, "");
}

TEST_F(HistoryTest, AnEntryWithoutAVersionHasTheOneThatIsKnown) {
    HistoryEntry entry;
    entry.plugin = "p";
    entry.sha256 = "aaa";
    entry.version = "1.2.3";
    ASSERT_TRUE(history_->add(entry));
    add("aaa", "crashed");
    add("bbb", "crashed");
    const auto entries = history_->entries("p", 2);
    EXPECT_EQ(entries->at(0).version, "");
    EXPECT_EQ(entries->at(1).version, "1.2.3");
}

// One death may be an operator's kill -9; what returns in between starts anew.
TEST_F(HistoryTest, DeathsInsideACallCountUntilItReturns) {
    const PluginCallMark mark{"p", "aaa", kLoadingPhase};
    for (const int deaths : {1, 2}) {
        ASSERT_TRUE(history_->begin_call(mark));
        reopen();
        const auto interrupted = history_->count_interrupted_calls();
        ASSERT_EQ(interrupted->size(), 1U);
        EXPECT_EQ(interrupted->at(0).mark.sha256, "aaa");
        EXPECT_EQ(interrupted->at(0).mark.phase, kLoadingPhase);
        EXPECT_EQ(interrupted->at(0).deaths, deaths);
        EXPECT_TRUE(history_->count_interrupted_calls()->empty());
    }
    ASSERT_TRUE(history_->begin_call(mark));
    ASSERT_TRUE(history_->end_call(mark));
    ASSERT_TRUE(history_->begin_call(mark));
    EXPECT_EQ(history_->count_interrupted_calls()->at(0).deaths, 1);
}

TEST_F(HistoryTest, ThePhasesOfAFileCountApart) {
    ASSERT_TRUE(history_->begin_call({"p", "aaa", kEndingPhase}));
    ASSERT_TRUE(history_->begin_call({"p", "aaa", kLoadingPhase}));
    ASSERT_TRUE(history_->end_call({"p", "aaa", kLoadingPhase}));
    const auto interrupted = history_->count_interrupted_calls();
    ASSERT_EQ(interrupted->size(), 1U);
    EXPECT_EQ(interrupted->at(0).mark.phase, kEndingPhase);
}

TEST_F(HistoryTest, CrashesCountWithinTheirWindow) {
    EXPECT_EQ(*history_->count_crash("aaa"), 1);
    clock_.advance(limits::kPluginCrashWindow);
    EXPECT_EQ(*history_->count_crash("aaa"), 2);
    EXPECT_EQ(*history_->count_crash("bbb"), 1);
    clock_.advance(std::chrono::microseconds(1));
    EXPECT_EQ(*history_->count_crash("aaa"), 2);  // The first is too old.
    ASSERT_TRUE(history_->forget_crashes("aaa"));
    EXPECT_EQ(*history_->count_crash("aaa"), 1);
}

TEST_F(HistoryTest, TheMethodsOfTheLastLoadAreKept) {
    EXPECT_EQ(*history_->methods("p"), "");
    ASSERT_TRUE(history_->set_methods("p", "p.a, p.b"));
    ASSERT_TRUE(history_->set_methods("p", "p.a"));
    reopen();
    EXPECT_EQ(*history_->methods("p"), "p.a");
}

TEST_F(HistoryTest, CommittedFilesAreListedOnceNewestFirst) {
    for (const char* sha256 : {"a", "b", "a", "c"}) add(sha256, "committed");
    add("d", "refused");
    EXPECT_EQ(*history_->committed("p"), (std::vector<std::string>{"c", "a", "b"}));
    EXPECT_EQ(history_->entries("p", 2)->at(0).sha256, "d");
    EXPECT_EQ(history_->entries("", 100)->size(), 5U);
    EXPECT_TRUE(history_->entries("other", 100)->empty());
}

TEST_F(HistoryTest, OldEntriesGo) {
    for (std::size_t count = 0; count < limits::kPluginHistoryMax + 5; ++count)
        add(std::to_string(count), "committed");
    const auto entries = history_->entries("p", 2 * limits::kPluginHistoryMax);
    EXPECT_EQ(entries->size(), limits::kPluginHistoryMax);
    EXPECT_EQ(entries->back().sha256, "5");
}

TEST_F(HistoryTest, QuarantineLastsUntilItIsLifted) {
    ASSERT_TRUE(history_->quarantine("p", "bad", "it hung"));
    reopen();
    EXPECT_EQ((*history_->quarantined("bad"))->reason, "it hung");
    EXPECT_EQ(history_->all_quarantined()->size(), 1U);
    ASSERT_TRUE(history_->lift_quarantine("bad"));
    EXPECT_FALSE(*history_->quarantined("bad"));
}

}  // namespace
}  // namespace export_worker::plugins
