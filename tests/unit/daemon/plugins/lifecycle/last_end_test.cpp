#include "daemon/plugins/lifecycle/last_end.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>

#include "daemon/plugins/running/crash_record.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/log.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::plugins {
namespace {

class LastEndTest : public ::testing::Test {
protected:
    LastEnd judge() {
        auto judged = judge_last_end(*history_, artifacts_, dir_ / "crashes");
        EXPECT_TRUE(judged) << judged.error().message;
        return judged ? *judged : LastEnd{};
    }
    void crash(const CrashedFile& file) { lines_ += encode_crash(file); }
    LastEnd judge_crash() {
        dir_.write("crashes", lines_);
        lines_.clear();
        return judge();
    }
    std::int64_t crashed_entries() {
        const auto entries = history_->entries("", 100);
        return std::ranges::count(*entries, "crashed", &HistoryEntry::outcome);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<History> history_ = std::move(
        *History::open(dir_ / "plugins.db", clock_, sqlite::Durability::kUnsyncedForTest));
    ArtifactStore artifacts_ = std::move(*ArtifactStore::open(dir_ / "plugins"));
    std::string lines_;
};

TEST_F(LastEndTest, ALoadThatWasUnderWayWhenAnotherFileCrashedCountsForNothing) {
    const PluginCallMark load{"a", "aaa", kLoadingPhase};
    for (int count = 0; count < 3; ++count) {
        ASSERT_TRUE(history_->begin_call(load));
        crash({"b", "bbb"});
        const LastEnd end = judge_crash();
        EXPECT_EQ(end.died_in, std::set<std::string>{"bbb"});
        EXPECT_FALSE(end.notices.contains("a"));
    }
    EXPECT_EQ(*history_->deaths(load), 0);
    EXPECT_FALSE(*history_->quarantined("aaa"));
    // Without a crash of another file it counts.
    ASSERT_TRUE(history_->begin_call(load));
    (void)judge();
    ASSERT_TRUE(history_->begin_call(load));
    (void)judge();
    EXPECT_TRUE(*history_->quarantined("aaa"));
}

TEST_F(LastEndTest, ACrashInsideACallIsOneDeath) {
    ASSERT_TRUE(history_->begin_call({"a", "aaa", kLoadingPhase}));
    crash({"a", "aaa", false});
    EXPECT_EQ(judge_crash().died_in, std::set<std::string>{"aaa"});
    EXPECT_EQ(crashed_entries(), 1);
    EXPECT_EQ(*history_->count_crash("aaa"), 1);
}

TEST_F(LastEndTest, ThreadsThatCrashTogetherAreOneCrash) {
    crash({"a", "aaa"});
    crash({"a", "aaa"});
    const LastEnd end = judge_crash();
    EXPECT_NE(end.notices.at("a").find("1 times within 60 min inside handle()"), std::string::npos);
    EXPECT_EQ(crashed_entries(), 1);
}

TEST_F(LastEndTest, ACrashOutsideHandleCountsLikeOneInside) {
    for (const char* times : {"1 times", "2 times"}) {
        crash({"a", "aaa", false});
        const std::string notice = judge_crash().notices.at("a");
        EXPECT_NE(notice.find(std::string(times) + " within 60 min in its code outside handle()"),
                  std::string::npos)
            << notice;
    }
}

TEST_F(LastEndTest, ADeathDuringAProbeQuarantinesNothing) {
    for (int count = 0; count < 3; ++count) {
        ASSERT_TRUE(history_->begin_call({"a", "aaa", kProbingPhase}));
        EXPECT_TRUE(judge().notices.empty());
    }
    EXPECT_EQ(*history_->deaths({"a", "aaa", kProbingPhase}), 3);
    EXPECT_FALSE(*history_->quarantined("aaa"));
    EXPECT_EQ(crashed_entries(), 3);
}

TEST_F(LastEndTest, AFileThatDiesAtItsEndIsKeptIfThereIsNoOther) {
    std::string notice;
    for (int count = 0; count < 3; ++count) {
        ASSERT_TRUE(history_->begin_call({"a", "aaa", kEndingPhase}));
        notice = judge().notices["a"];
    }
    EXPECT_NE(notice.find("3 times in a row inside quiesce or destroy of aaa; there is no "
                          "committed file to go back to: replace it"),
              std::string::npos)
        << notice;
    EXPECT_FALSE(*history_->quarantined("aaa"));
}

TEST_F(LastEndTest, AnEndWithoutAnyTraceIsLogged) {
    EXPECT_TRUE(judge().died_in.empty());
    EXPECT_FALSE(testing::has_logged("has not stopped in good order"));
    (void)judge();
    EXPECT_TRUE(testing::has_logged("has not stopped in good order 1 times in a row"));
    ASSERT_TRUE(history_->end_run());
    EXPECT_EQ(history_->begin_run()->unfinished, 0);
}

TEST_F(LastEndTest, PluginFilesWithoutAnyHistoryAreAnAlarm) {
    dir_.write("plugins/artifacts/" + std::string(64, 'a') + ".so", "x");
    EXPECT_NE(judge().history_lost.find("has 1 plugin files"), std::string::npos);
    EXPECT_EQ(judge().history_lost, "");
}

TEST_F(LastEndTest, AnOlderHistoryIsNotTakenAsLost) {
    dir_.write("plugins/artifacts/" + std::string(64, 'a') + ".so", "x");
    ASSERT_TRUE(history_->add({0, "a", 0, "start", "", "aaa", "", 1, "committed", "", ""}));
    EXPECT_EQ(judge().history_lost, "");
}

}  // namespace
}  // namespace export_worker::plugins
