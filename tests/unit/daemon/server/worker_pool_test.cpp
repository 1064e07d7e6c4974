#include "daemon/server/worker_pool.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "daemon/server/limits.hpp"
#include "tests/unit/daemon/server/server_fixture.hpp"
#include "tests/unit/support/eventually.hpp"

namespace export_worker::server {
namespace {

using std::chrono::milliseconds;
using testing::eventually;

class WorkerPoolTest : public ServerFixture {
protected:
    void TearDown() override {
        release();
        pool_->close();
        EXPECT_EQ(pool_->join(limits::kWorkersEndTimeout), 0U);
    }
    void start(unsigned workers) {
        ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "misbehaving"), {}));
        pool_.emplace(WorkerPoolDeps{dispatcher_, clock_, hops_, wake_}, workers);
    }
    Call& make_call(const std::string& method, const json& params = json::object(),
                    bool commits = false) {
        Call& call = calls_.emplace_back();
        json request = {{"v", 1}, {"id", "x"}, {"method", method}, {"params", params}};
        if (!authorization_.empty()) request["auth"] = {{"authorization", authorization_}};
        call.body = dump_msgpack(request);
        call.request = *message::decode_request(call.body);
        call.arrived = clock_.steady();
        call.deadline = call.arrived + milliseconds(1000);
        call.commits = commits;
        const message::WireMethod* known = message::find_method(method);
        call.lists = known != nullptr && known->lists;
        return call;
    }
    Call& submit(const std::string& method, const json& params = json::object(),
                 bool commits = false) {
        Call& call = make_call(method, params, commits);
        EXPECT_FALSE(pool_->submit(call));
        return call;
    }
    // The code of a call that must be refused.
    std::string_view refusal(const std::string& method) {
        const auto error = pool_->submit(make_call(method));
        return error ? message::to_string(error->code) : "submitted";
    }
    void review(const std::vector<Call*>& stalled) { pool_->review(stalled, clock_.steady()); }
    // A call that stays in the plugin until release().
    Call& submit_blocking() {
        Call& call = submit("bad.blocks", {{"until", release_file_}});
        EXPECT_TRUE(
            eventually([&] { return call.progress.state() == CallProgress::State::kRunning; }));
        return call;
    }
    void release() { std::ofstream(release_file_) << "now"; }
    bool is_woken() {
        pollfd fd{wake_.fd(), POLLIN, 0};
        return ::poll(&fd, 1, 0) == 1;
    }
    // The next that are over, at least one.
    std::vector<Call*> take_finished() {
        std::vector<Call*> out;
        EXPECT_TRUE(eventually([&] {
            pool_->take_finished(out);
            return !out.empty();
        }));
        return out;
    }

    const std::string release_file_ = dir_ / "release";
    std::string authorization_;  // Of the calls that are made.
    model::Hops hops_;
    WakeEvent wake_;
    std::deque<Call> calls_;
    std::optional<WorkerPool> pool_;
};

TEST_F(WorkerPoolTest, ACallComesBackWithItsReplyAndWakesTheLoop) {
    start(1);
    Call& call = submit("bad.good");
    ASSERT_TRUE(eventually([&] { return is_woken(); }));
    EXPECT_EQ(take_finished(), std::vector<Call*>{&call});
    EXPECT_TRUE(call.reply_is_result);
    EXPECT_EQ(parse_msgpack(call.reply)["ok"], true);
    wake_.clear();
    EXPECT_FALSE(is_woken());
    Call& faulty = submit("bad.throw");
    EXPECT_EQ(take_finished(), std::vector<Call*>{&faulty});
    EXPECT_FALSE(faulty.reply_is_result);
    EXPECT_TRUE(eventually([&] { return is_woken(); }));
}

TEST_F(WorkerPoolTest, MethodsThatCommitDoNotWaitForWorkers) {
    start(1);
    submit_blocking();
    Call& commit = submit("exports.submit", json::object(), true);
    EXPECT_EQ(take_finished(), std::vector<Call*>{&commit});
    EXPECT_EQ(parse_msgpack(commit.reply)["error"]["code"], "unauthenticated");
}

TEST_F(WorkerPoolTest, ListsDoNotWaitForWorkers) {
    start(1);
    submit_blocking();
    Call& list = submit("jobs.list");
    EXPECT_EQ(take_finished(), std::vector<Call*>{&list});
    EXPECT_EQ(parse_msgpack(list.reply)["error"]["code"], "unauthenticated");
}

TEST_F(WorkerPoolTest, EveryListIsAnsweredOrRefused) {
    start(1);
    authorization_ = "Bearer " + identity_.keys->create("acme", "", {"job:read"})->text;
    constexpr std::size_t kLists = 200;
    for (std::size_t index = 0; index < kLists; ++index) submit("jobs.list");
    std::vector<Call*> finished;
    while (finished.size() < kLists)
        std::ranges::copy(take_finished(), std::back_inserter(finished));
    for (const Call* call : finished) {
        const json reply = parse_msgpack(call->reply);
        EXPECT_EQ(reply["ok"], !call->is_refused);
        if (!call->is_refused) continue;
        EXPECT_EQ(reply["error"]["code"], "overloaded");
        EXPECT_EQ(reply["error"]["retry_after_ms"], limits::kListRetryMs);
    }
}

TEST_F(WorkerPoolTest, AnExpiredCallComesBackWithoutHavingRun) {
    start(1);
    Call& blocking = submit_blocking();
    Call& expired = submit("bad.good");
    Call& last = submit("bad.good");
    ASSERT_TRUE(expired.progress.try_expire());
    release();
    std::vector<Call*> finished;
    while (finished.size() < 3) std::ranges::copy(take_finished(), std::back_inserter(finished));
    EXPECT_EQ(finished, (std::vector<Call*>{&blocking, &expired, &last}));
    EXPECT_EQ(expired.reply, "");
    EXPECT_EQ(plugins_->list()[0].handled, 2U);
}

TEST_F(WorkerPoolTest, AStalledWorkerIsReplaced) {
    start(1);
    Call& blocking = submit_blocking();
    Call& next = submit("bad.good");
    review({&blocking});
    EXPECT_EQ(pool_->stalled(), 1U);
    EXPECT_EQ(take_finished(), std::vector<Call*>{&next});
    EXPECT_TRUE(pool_->stuck().empty()) << "its deadline has not passed";
    review({});
    release();
    EXPECT_EQ(take_finished(), std::vector<Call*>{&blocking});
    Call& after = submit("bad.good");
    EXPECT_EQ(take_finished(), std::vector<Call*>{&after});
}

TEST_F(WorkerPoolTest, AStuckPluginLeavesTheWorkersOfOthersAlone) {
    start(1);
    ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "minimal_c"), {}));
    submit_blocking();
    submit("bad.good");  // Waits behind it.
    for (const char* method : {"minimal.echo", "sys.methods", "no.such"}) {
        Call& call = submit(method);
        EXPECT_EQ(take_finished(), std::vector<Call*>{&call}) << method;
    }
}

TEST_F(WorkerPoolTest, StuckRequestsAreNamed) {
    start(1);
    Call& first = submit_blocking();
    Call& second = submit("bad.blocks", {{"until", release_file_}});
    review({&first});
    ASSERT_TRUE(eventually([&] { return second.generation.load() != 0; }));
    clock_.advance(milliseconds(2500));
    review({&first, &second});
    const auto stuck = pool_->stuck();
    ASSERT_EQ(stuck.size(), 1U);
    EXPECT_EQ(stuck[0].plugin, "misbehaving");
    EXPECT_EQ(stuck[0].generation, 1U);
    EXPECT_EQ(stuck[0].count, 2U);
    EXPECT_EQ(stuck[0].longest, milliseconds(2500));
    EXPECT_EQ(stuck[0].request_id, "x");
    EXPECT_EQ(stuck[0].worker, first.worker.load());
    review({});
    EXPECT_TRUE(pool_->stuck().empty());
}

TEST_F(WorkerPoolTest, WhatWaitsForAHungPluginIsRefused) {
    start(1);
    ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "minimal_c"), {}));
    Call& blocking = submit_blocking();
    Call& queued = submit("bad.blocks", {{"until", release_file_}});
    EXPECT_EQ(pool_->take_refused(), nullptr);
    clock_.advance(milliseconds(2000));
    review({});
    EXPECT_EQ(pool_->take_refused(), nullptr) << "silent, but few wait";
    review({&blocking});  // The worker in its place takes the queued one.
    ASSERT_TRUE(
        eventually([&] { return queued.progress.state() == CallProgress::State::kRunning; }));
    EXPECT_EQ(refusal("bad.good"), "plugin_unavailable");
    EXPECT_TRUE(pool_->stuck()[0].plugin_is_closed);
    Call& other = submit("minimal.echo");
    EXPECT_EQ(take_finished(), std::vector<Call*>{&other});
    release();
    std::vector<Call*> finished;
    while (finished.size() < 2) std::ranges::copy(take_finished(), std::back_inserter(finished));
    Call& next = submit("bad.good");
    EXPECT_EQ(take_finished(), std::vector<Call*>{&next});
}

TEST_F(WorkerPoolTest, ASilentPluginKeepsABoundedQueue) {
    start(1);
    submit_blocking();
    for (std::size_t index = 0; index < limits::kSilentPluginCallsMax + 1; ++index)
        submit("bad.good");
    clock_.advance(limits::kPluginSilence + milliseconds(1));
    review({});
    EXPECT_EQ(refusal("bad.good"), "overloaded");
    Call* const first = pool_->take_refused();
    ASSERT_NE(first, nullptr);
    EXPECT_EQ(WorkerPool::why_refused(*first).code, message::WireCode::kOverloaded);
    EXPECT_NE(pool_->take_refused(), nullptr);
    EXPECT_EQ(pool_->take_refused(), nullptr);
}

TEST_F(WorkerPoolTest, AClosedPoolFinishesWhatRunsAndStartsNothing) {
    start(1);
    Call& blocking = submit_blocking();
    Call& queued = submit("bad.good");
    pool_->close();
    release();
    EXPECT_EQ(take_finished(), std::vector<Call*>{&blocking});
    EXPECT_EQ(pool_->join(limits::kWorkersEndTimeout), 0U);
    EXPECT_EQ(queued.progress.state(), CallProgress::State::kQueued);
    EXPECT_EQ(plugins_->list()[0].handled, 1U);
}

}  // namespace
}  // namespace export_worker::server
