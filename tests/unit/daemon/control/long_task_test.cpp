#include "daemon/control/long_task.hpp"

#include <gtest/gtest.h>

#include <functional>
#include <optional>

#include "base/json.hpp"

namespace export_worker::control {
namespace {

using nlohmann::json;
using Progress = std::function<void(json)>;

json ended(const LongTask& task) {
    for (;;) {
        json state = task.state();
        if (state["running"] == false) return state;
        std::this_thread::yield();
    }
}

TEST(LongTask, HasNoStateBeforeTheFirst) {
    EXPECT_TRUE(LongTask().state().is_null());
}

TEST(LongTask, KeepsTheResult) {
    LongTask task;
    ASSERT_TRUE(task.start("count", [](const std::atomic<bool>&, const Progress&) -> Result<json> {
        return json{{"files", 3}};
    }));
    const json state = ended(task);
    EXPECT_EQ(state["name"], "count");
    EXPECT_EQ(state["result"]["files"], 3);
    EXPECT_FALSE(state.contains("error"));
}

TEST(LongTask, HandsOutEachOutcomeOnce) {
    LongTask task;
    ASSERT_TRUE(task.start("good", [](const std::atomic<bool>&, const Progress&) -> Result<json> {
        return json::object();
    }));
    ended(task);
    ASSERT_TRUE(task.start("bad", [](const std::atomic<bool>&, const Progress&) -> Result<json> {
        return fail(ErrorCode::kConflict, "no");
    }));
    ended(task);
    EXPECT_EQ(task.take_outcomes(), (std::vector<std::string>{"ok", "conflict"}));
    EXPECT_TRUE(task.take_outcomes().empty());
}

TEST(LongTask, KeepsTheErrorWithItsCode) {
    LongTask task;
    ASSERT_TRUE(task.start("count", [](const std::atomic<bool>&, const Progress&) -> Result<json> {
        return fail(ErrorCode::kDataLoss, "a bad block");
    }));
    const json state = ended(task);
    EXPECT_EQ(state["error"], (json{{"code", "data_loss"}, {"message", "a bad block"}}));
    EXPECT_FALSE(state.contains("result"));
}

TEST(LongTask, ShowsProgressWhileItRuns) {
    LongTask task;
    std::atomic<bool> told{false};
    std::atomic<bool> go_on{false};
    ASSERT_TRUE(task.start("count",
                           [&](const std::atomic<bool>&, const Progress& progress) -> Result<json> {
                               progress({{"files", 1}});
                               told = true;
                               while (!go_on.load()) std::this_thread::yield();
                               return json();
                           }));
    while (!told.load()) std::this_thread::yield();
    EXPECT_EQ(task.state(),
              (json{{"name", "count"}, {"running", true}, {"progress", {{"files", 1}}}}));
    go_on = true;
    ended(task);
}

TEST(LongTask, ASecondIsRefusedUntilTheFirstHasEnded) {
    LongTask task;
    std::atomic<bool> go_on{false};
    const auto wait = [&](const std::atomic<bool>&, const Progress&) -> Result<json> {
        while (!go_on.load()) std::this_thread::yield();
        return json();
    };
    ASSERT_TRUE(task.start("first", wait));
    const auto refused = task.start("second", wait);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kConflict);
    EXPECT_NE(refused.error().message.find("first"), std::string::npos);
    go_on = true;
    ended(task);
    ASSERT_TRUE(task.start("second", wait));
    EXPECT_EQ(ended(task)["name"], "second");
}

TEST(LongTask, ANewTaskForgetsTheOldOnesResult) {
    LongTask task;
    const auto one = [](const std::atomic<bool>&, const Progress&) -> Result<json> { return 1; };
    const auto none = [](const std::atomic<bool>&, const Progress&) -> Result<json> {
        return fail(ErrorCode::kInternal, "no");
    };
    ASSERT_TRUE(task.start("one", one));
    ended(task);
    ASSERT_TRUE(task.start("none", none));
    EXPECT_FALSE(ended(task).contains("result"));
}

TEST(LongTask, TheEndTellsTheWorkToStop) {
    std::optional<LongTask> task(std::in_place);
    bool stopped = false;
    ASSERT_TRUE(task->start(
        "endless", [&](const std::atomic<bool>& stopping, const Progress&) -> Result<json> {
            while (!stopping.load()) std::this_thread::yield();
            stopped = true;
            return fail(ErrorCode::kUnavailable, "stopped");
        }));
    task.reset();
    EXPECT_TRUE(stopped);
}

}  // namespace
}  // namespace export_worker::control
