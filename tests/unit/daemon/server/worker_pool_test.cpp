#include "daemon/server/worker_pool.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <deque>
#include <fstream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

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
        EXPECT_EQ(pool_->join(), 0U);
    }
    void start(unsigned workers) {
        ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "misbehaving"), {}));
        pool_.emplace(WorkerPoolDeps{dispatcher_, clock_, hops_, wake_}, workers);
    }
    Call& submit(const std::string& method, const json& params = json::object(),
                 bool commits = false) {
        Call& call = calls_.emplace_back();
        call.body = dump_msgpack({{"v", 1}, {"id", "x"}, {"method", method}, {"params", params}});
        call.request = *message::decode_request(call.body);
        call.arrived = clock_.steady();
        call.deadline = call.arrived + milliseconds(1000);
        call.commits = commits;
        EXPECT_TRUE(pool_->submit(call));
        return call;
    }
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
    pool_->replace_stalled(1);
    EXPECT_EQ(pool_->stalled(), 1U);
    EXPECT_EQ(take_finished(), std::vector<Call*>{&next});
    pool_->replace_stalled(0);
    release();
    EXPECT_EQ(take_finished(), std::vector<Call*>{&blocking});
    Call& after = submit("bad.good");
    EXPECT_EQ(take_finished(), std::vector<Call*>{&after});
}

TEST_F(WorkerPoolTest, AClosedPoolFinishesWhatRunsAndStartsNothing) {
    start(1);
    Call& blocking = submit_blocking();
    Call& queued = submit("bad.good");
    pool_->close();
    release();
    EXPECT_EQ(take_finished(), std::vector<Call*>{&blocking});
    EXPECT_EQ(pool_->join(), 0U);
    EXPECT_EQ(queued.progress.state(), CallProgress::State::kQueued);
    EXPECT_EQ(plugins_->list()[0].handled, 1U);
}

}  // namespace
}  // namespace export_worker::server
