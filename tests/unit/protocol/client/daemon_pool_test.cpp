#include "protocol/client/daemon_pool.hpp"
#include "base/json.hpp"

#include <gtest/gtest.h>
#include <poll.h>

#include <algorithm>
#include <future>
#include <latch>

#include "protocol/client/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"
#include "protocol/transport/server_socket.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::client {
namespace {

using message::WireCode;
using std::chrono::milliseconds;

// A daemon in name only: answers as it is told to, and counts.
class FakeDaemon {
public:
    enum class Mood { kAnswers, kDrains, kOverloaded, kRefuses, kSilent, kStandsStill };

    explicit FakeDaemon(std::string endpoint, std::string of = "one")
        : registry(std::move(of)), endpoint_(std::move(endpoint)) {
        start();
    }
    ~FakeDaemon() { stop(); }
    FakeDaemon(const FakeDaemon&) = delete;
    FakeDaemon& operator=(const FakeDaemon&) = delete;

    void start() {
        stopping_ = false;
        // Until there is a socket: a client that comes before it waits before it tries again.
        std::latch bound(1);
        thread_ = std::thread([this, &bound] { run(bound); });
        bound.wait();
    }
    void stop() {
        stopping_ = true;
        if (thread_.joinable()) thread_.join();
    }
    std::atomic<Mood> mood = Mood::kAnswers;
    std::atomic<bool> many = false;  // Says that it takes many requests in a message.
    const std::string registry;      // Empty: it does not say.
    std::atomic<int> asked = 0;      // Pings not counted.
    std::atomic<int> together = 0;   // Of those: came with others.

private:
    void run(std::latch& bound) {
        auto socket = transport::ServerSocket::open(endpoint_, 0600);
        bound.count_down();
        ASSERT_TRUE(socket) << socket.error().message;
        transport::Envelope envelope;
        std::string body;
        // Replies to what came together leave together.
        transport::Envelope held_for;
        std::vector<std::string> held;
        const auto let_go = [&] {
            const std::vector<std::string_view> replies(held.begin(), held.end());
            while (!held.empty() && !stopping_ &&
                   socket->send(held_for, replies) == transport::SendOutcome::kBusy)
                std::this_thread::sleep_for(milliseconds(1));  // sleep: the queue is full
            held.clear();
        };
        while (!stopping_) {
            socket->wait(milliseconds(5), -1);
            while (mood != Mood::kStandsStill &&
                   socket->receive(envelope, body) == transport::ReceiveOutcome::kRequest) {
                const auto request = message::decode_request(body);
                ASSERT_TRUE(request);
                const bool ping = request->method == "sys.ping";
                if (!ping) ++asked;
                if (!ping && envelope.together) ++together;
                const Mood now = mood;
                if (now == Mood::kSilent) continue;
                std::string reply;
                if (now == Mood::kAnswers || (ping && now != Mood::kDrains)) {
                    message::encode_result(reply, request->id, ping ? introduction() : "\x80",
                                           nullptr);
                } else {
                    message::encode_error(
                        reply, request->id,
                        message::make_error(now == Mood::kDrains       ? WireCode::kDraining
                                            : now == Mood::kOverloaded ? WireCode::kOverloaded
                                                                       : WireCode::kConflict,
                                            "no"),
                        nullptr);
                }
                if (!envelope.goes_with(held_for)) let_go();
                held_for = envelope;
                held.push_back(reply);
                if (!envelope.together || held.size() == 50) let_go();
            }
            let_go();
        }
    }
    std::string introduction() const {
        nlohmann::json out = nlohmann::json::object();
        if (many) out["many_per_message"] = true;
        if (!registry.empty()) out["registry"] = registry;
        return dump_msgpack(out);
    }
    const std::string endpoint_;
    std::atomic<bool> stopping_ = false;
    std::thread thread_;
};

class DaemonPoolTest : public ::testing::Test {
protected:
    std::string endpoint(const char* name) const { return "ipc://" + dir_.path() + "/" + name; }
    void open(const std::vector<std::string>& endpoints) {
        pool_ = std::move(*DaemonPool::open(endpoints));
    }
    // "ok", the code of an error reply, or the words of a failure.
    std::string call(milliseconds timeout = milliseconds(2000)) {
        auto answer = begin(timeout);
        turn_until([&] { return answer.wait_for(milliseconds(0)) == std::future_status::ready; });
        return answer.get();
    }
    // As an owner's event loop does, for at most five seconds.
    bool turn_until(const std::function<bool()>& is) {
        const auto end = std::chrono::steady_clock::now() + milliseconds(5000);
        std::vector<pollfd> fds;
        for (const int fd : pool_->descriptors()) fds.push_back({fd, POLLIN, 0});
        for (;;) {
            pool_->poll();
            if (is()) return true;
            if (std::chrono::steady_clock::now() >= end) return false;
            (void)::poll(fds.data(), fds.size(), 20);
        }
    }
    std::future<std::string> begin(milliseconds timeout = milliseconds(2000),
                                   const std::string& params = "\x80") {
        const auto promise = std::make_shared<std::promise<std::string>>();
        message::Request request;
        const std::string id = "call-" + std::to_string(++calls_);
        request.id = id;
        request.method = "jobs.get";
        request.deadline_ms = 1000;
        request.params = params;
        pool_->call(id, message::encode_request(request), timeout,
                    [promise](const Result<std::string>& reply) {
                        if (!reply)
                            return promise->set_value(std::string(to_string(reply.error().code)));
                        const auto decoded = message::decode_reply(*reply);
                        promise->set_value(
                            decoded->ok ? "ok" : std::string(to_string(decoded->error.code)));
                    });
        return promise->get_future();
    }
    bool eventually(const std::function<bool(const std::vector<DaemonPool::DaemonState>&)>& is) {
        return turn_until([&] { return is(pool_->states()); });
    }
    bool all_up() {
        return eventually([](const auto& states) {
            return std::ranges::all_of(states,
                                       [](const auto& of) { return of.connected && of.answers; });
        });
    }
    const testing::TempDir dir_;
    std::unique_ptr<DaemonPool> pool_;
    int calls_ = 0;
};

TEST_F(DaemonPoolTest, SpreadsWhatItIsAsked) {
    FakeDaemon a(endpoint("a"));
    FakeDaemon b(endpoint("b"));
    open({endpoint("a"), endpoint("b")});
    ASSERT_TRUE(all_up());
    for (int count = 0; count < 40; ++count) EXPECT_EQ(call(), "ok");
    EXPECT_EQ(a.asked + b.asked, 40);
    EXPECT_GE(std::min(a.asked.load(), b.asked.load()), 15);
}

TEST_F(DaemonPoolTest, ADrainingDaemonIsAskedNoMoreAndItsRefusalIsTriedElsewhere) {
    FakeDaemon a(endpoint("a"));
    FakeDaemon b(endpoint("b"));
    open({endpoint("a"), endpoint("b")});
    ASSERT_TRUE(all_up());
    a.mood = FakeDaemon::Mood::kDrains;
    for (int count = 0; count < 10; ++count) EXPECT_EQ(call(), "ok");
    EXPECT_LE(a.asked, 1) << "its first refusal is noticed";
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].draining; }));
    a.mood = FakeDaemon::Mood::kAnswers;
    EXPECT_TRUE(eventually([](const auto& states) { return !states[0].draining; }));
    b.mood = a.mood = FakeDaemon::Mood::kDrains;
    EXPECT_EQ(call(), "draining") << "when all drain, the caller is told";
}

TEST_F(DaemonPoolTest, OnlyWhatWasNotRunIsTriedElsewhere) {
    FakeDaemon a(endpoint("a"));
    FakeDaemon b(endpoint("b"));
    open({endpoint("a"), endpoint("b")});
    ASSERT_TRUE(all_up());
    a.mood = FakeDaemon::Mood::kOverloaded;
    for (int count = 0; count < 10; ++count) EXPECT_EQ(call(), "ok");
    EXPECT_EQ(b.asked, 10);
    a.mood = b.mood = FakeDaemon::Mood::kRefuses;
    const int before = a.asked + b.asked;
    EXPECT_EQ(call(), "conflict");
    EXPECT_EQ(a.asked + b.asked, before + 1);
}

TEST_F(DaemonPoolTest, WhatALostDaemonHadFailsAndIsNotSentAgain) {
    FakeDaemon a(endpoint("a"));
    FakeDaemon b(endpoint("b"));
    open({endpoint("a"), endpoint("b")});
    ASSERT_TRUE(all_up());
    a.mood = b.mood = FakeDaemon::Mood::kSilent;
    std::vector<std::future<std::string>> pending;
    for (int count = 0; count < 10; ++count) pending.push_back(begin(milliseconds(4000)));
    ASSERT_TRUE(turn_until([&] { return a.asked + b.asked == 10; }));
    const int had = a.asked;
    ASSERT_GT(had, 0);
    a.stop();
    int lost = 0;
    ASSERT_TRUE(eventually([](const auto& states) { return !states[0].connected; }));
    for (auto& each : pending) {
        if (each.wait_for(milliseconds(0)) == std::future_status::ready)
            lost += each.get() == "unavailable" ? 1 : 0;
    }
    EXPECT_EQ(lost, had);
    EXPECT_EQ(b.asked, 10 - had) << "nothing was sent twice";
    b.mood = FakeDaemon::Mood::kAnswers;
    EXPECT_EQ(call(), "ok") << "b is still there";
    a.mood = FakeDaemon::Mood::kAnswers;
    a.start();
    EXPECT_TRUE(all_up());
}

TEST_F(DaemonPoolTest, ASilentDaemonIsNoticedWithinASecond) {
    FakeDaemon a(endpoint("a"));
    FakeDaemon b(endpoint("b"));
    open({endpoint("a"), endpoint("b")});
    ASSERT_TRUE(all_up());
    a.mood = FakeDaemon::Mood::kSilent;
    const auto since = std::chrono::steady_clock::now();
    ASSERT_TRUE(eventually([](const auto& states) { return !states[0].answers; }));
    EXPECT_LT(std::chrono::steady_clock::now() - since, milliseconds(1000) * 2)
        << "with a margin for a busy machine";
    const int before = a.asked;
    for (int count = 0; count < 10; ++count) EXPECT_EQ(call(), "ok");
    EXPECT_EQ(a.asked, before);
}

TEST_F(DaemonPoolTest, WhatIsAskedAtOnceTravelsInOneMessageIfTheDaemonTakesIt) {
    FakeDaemon a(endpoint("a"));
    open({endpoint("a")});
    ASSERT_TRUE(all_up());
    const auto ask_200 = [&] {
        std::vector<std::future<std::string>> pending;
        for (int count = 0; count < 200; ++count) pending.push_back(begin());
        EXPECT_TRUE(turn_until([&] { return pool_->states()[0].in_flight == 0; }));
        for (auto& each : pending) EXPECT_EQ(each.get(), "ok");
    };
    ask_200();
    EXPECT_EQ(a.together, 0) << "an older daemon would refuse them";
    a.many = true;
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].many_per_message; }));
    ask_200();
    EXPECT_EQ(a.together, 200);
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(a.together, 200) << "alone";
    EXPECT_EQ(a.asked, 401);
    // The next one on this socket may be older.
    a.stop();
    ASSERT_TRUE(eventually([](const auto& states) { return !states[0].connected; }));
    EXPECT_FALSE(pool_->states()[0].many_per_message);
}

TEST_F(DaemonPoolTest, WhatADaemonHasNoRoomForIsSentToAnother) {
    FakeDaemon a(endpoint("a"));
    FakeDaemon b(endpoint("b"));
    open({endpoint("a"), endpoint("b")});
    b.many = true;  // So that it has room for everything: in few messages.
    ASSERT_TRUE(eventually([](const auto& states) {
        return states[0].connected && states[0].answers && states[1].many_per_message;
    }));
    a.mood = FakeDaemon::Mood::kStandsStill;
    constexpr int kCalls = 4000;  // Half of them for `a`, of which libzmq and the kernel hold less.
    const std::string params = "\x81\xa1x\xda\x08\x01" + std::string(2049, 'x');
    std::vector<std::future<std::string>> pending;
    for (int count = 0; count < kCalls; ++count)
        pending.push_back(begin(milliseconds(60'000), params));
    const auto count_ready = [&] {
        return std::ranges::count_if(pending, [](const auto& each) {
            return each.wait_for(milliseconds(0)) == std::future_status::ready;
        });
    };
    ASSERT_TRUE(turn_until([&] { return count_ready() > kCalls / 2; }));
    a.mood = FakeDaemon::Mood::kAnswers;
    ASSERT_TRUE(turn_until([&] { return count_ready() == kCalls; }));
    for (auto& each : pending) EXPECT_EQ(each.get(), "ok");
    EXPECT_GT(b.asked, kCalls / 2);
    EXPECT_GT(a.asked, 0);
    EXPECT_EQ(a.asked + b.asked, kCalls) << "nothing was sent twice";
}

// What an answer leads to may be the next question.
TEST_F(DaemonPoolTest, TheNumberInFlightIsBounded) {
    FakeDaemon a(endpoint("a"));
    a.mood = FakeDaemon::Mood::kSilent;
    open({endpoint("a")});
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].connected; }));
    std::vector<std::future<std::string>> under_way;
    while (under_way.size() < limits::kPoolCallsMax) under_way.push_back(begin());
    auto refused = begin();
    ASSERT_EQ(refused.wait_for(milliseconds(0)), std::future_status::ready);
    EXPECT_EQ(refused.get(), "resource_exhausted");
    EXPECT_EQ(under_way[0].wait_for(milliseconds(0)), std::future_status::timeout);
}

TEST_F(DaemonPoolTest, AnAnswerMayAskAgain) {
    FakeDaemon a(endpoint("a"));
    open({endpoint("a")});
    ASSERT_TRUE(all_up());
    int asked = 0;
    int answers = 0;
    int failures = 0;
    milliseconds timeout(2000);
    std::function<void()> ask = [&] {
        message::Request request;
        const std::string id = "again-" + std::to_string(++asked);
        request.id = id;
        request.method = "jobs.get";
        pool_->call(id, message::encode_request(request), timeout,
                    [&](const Result<std::string>& reply) {
                        ++(reply ? answers : failures);
                        if (asked < 200) ask();
                    });
    };
    for (int count = 0; count < 20; ++count) ask();
    EXPECT_TRUE(turn_until([&] { return answers == 200; }));
    a.mood = FakeDaemon::Mood::kSilent;
    timeout = milliseconds(0);  // All are overdue at the next look.
    asked = 100;
    for (int count = 0; count < 20; ++count) ask();
    EXPECT_TRUE(turn_until([&] { return failures == 100; }));
}

// Two daemons with a registry each: a job of one is unknown to the other.
TEST_F(DaemonPoolTest, ADaemonWithAnotherRegistryIsOnStandby) {
    FakeDaemon a(endpoint("a"), "one");
    FakeDaemon b(endpoint("b"), "two");
    FakeDaemon c(endpoint("c"), "two");
    FakeDaemon d(endpoint("d"), "");
    FakeDaemon e(endpoint("e"), "");
    open({endpoint("a"), endpoint("b"), endpoint("c"), endpoint("d"), endpoint("e")});
    ASSERT_TRUE(all_up());
    const auto ask_20 = [&] {
        for (int count = 0; count < 20; ++count) EXPECT_EQ(call(), "ok");
    };
    ask_20();
    EXPECT_EQ(a.asked, 20);
    EXPECT_EQ(pool_->registry(), "one");
    EXPECT_TRUE(pool_->states()[0].in_use);
    EXPECT_FALSE(pool_->states()[1].in_use);
    EXPECT_EQ(pool_->states()[1].registry, "two");
    a.mood = FakeDaemon::Mood::kDrains;
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].draining; }));
    EXPECT_EQ(call(), "draining") << "it answers, and will be back";
    a.stop();
    ASSERT_TRUE(eventually([](const auto& states) { return states[1].in_use; }));
    ask_20();
    EXPECT_EQ(b.asked + c.asked, 20);
    EXPECT_GT(c.asked, 0) << "those of one registry are pooled";
    b.stop();
    c.stop();
    ASSERT_TRUE(eventually([](const auto& states) { return states[3].in_use; }));
    ask_20();
    EXPECT_EQ(d.asked, 20) << "who does not say may have any registry";
    EXPECT_EQ(e.asked, 0);
    a.mood = FakeDaemon::Mood::kAnswers;
    a.start();
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].in_use; }));
    const int before = a.asked;
    ask_20();
    EXPECT_EQ(a.asked, before + 20);
}

TEST_F(DaemonPoolTest, ASilentDaemonIsNotAskedUntilItAnswersAgain) {
    FakeDaemon a(endpoint("a"));
    open({endpoint("a")});
    ASSERT_TRUE(all_up());
    a.mood = FakeDaemon::Mood::kStandsStill;
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].silent; }));
    EXPECT_TRUE(pool_->states()[0].connected);
    const auto since = std::chrono::steady_clock::now();
    for (int count = 0; count < 20; ++count) EXPECT_EQ(call(milliseconds(60'000)), "unavailable");
    EXPECT_LT(std::chrono::steady_clock::now() - since, milliseconds(10'000));
    EXPECT_EQ(a.asked, 0);
    a.mood = FakeDaemon::Mood::kAnswers;
    ASSERT_TRUE(eventually([](const auto& states) { return is_ready(states[0]); }));
    EXPECT_EQ(call(), "ok");
    EXPECT_EQ(pool_->states()[0].losses, 0U) << "the connection was there all the time";
}

TEST_F(DaemonPoolTest, ADaemonThatIsSilentFromTheStartIsNoticed) {
    FakeDaemon a(endpoint("a"));
    a.mood = FakeDaemon::Mood::kStandsStill;
    open({endpoint("a")});
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].silent; }));
    EXPECT_EQ(call(), "unavailable");
}

TEST_F(DaemonPoolTest, LargeRequestsTravelInSmallMessages) {
    FakeDaemon a(endpoint("a"));
    a.many = true;
    open({endpoint("a")});
    ASSERT_TRUE(eventually([](const auto& states) { return states[0].many_per_message; }));
    // Together more than a message may have.
    const std::string params = dump_msgpack({{"x", std::string(512 * 1024, 'x')}});
    std::vector<std::future<std::string>> pending;
    for (int count = 0; count < 20; ++count) pending.push_back(begin(milliseconds(20'000), params));
    EXPECT_TRUE(turn_until([&] { return pool_->states()[0].in_flight == 0; }));
    for (auto& each : pending) EXPECT_EQ(each.get(), "ok");
    EXPECT_EQ(a.together, 0);
}

TEST_F(DaemonPoolTest, NobodyThereIsSaidAtOnce) {
    open({endpoint("a")});
    EXPECT_EQ(call(), "unavailable");
    FakeDaemon a(endpoint("a"));
    ASSERT_TRUE(all_up());
    a.mood = FakeDaemon::Mood::kSilent;
    EXPECT_EQ(call(milliseconds(100)), "deadline_exceeded");
    EXPECT_FALSE(DaemonPool::open({}));
    EXPECT_FALSE(DaemonPool::open({"nonsense"}));
    EXPECT_FALSE(DaemonPool::open(std::vector<std::string>(17, endpoint("a"))));
}

}  // namespace
}  // namespace export_worker::client
