#include "daemon/server/data_server.hpp"
#include "base/json.hpp"

#include <gtest/gtest.h>
#include <zmq.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <map>

#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/server/limits.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/transport/client.hpp"
#include "protocol/transport/limits.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/plugin_fixtures.hpp"
#include "tests/unit/support/sessions.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::server {
namespace {

using nlohmann::json;
using std::chrono::milliseconds;
using testing::eventually;

class DataServerTest : public ::testing::Test {
protected:
    DataServerTest() : DataServerTest(nullptr) {}
    // Null: the fake clock.
    explicit DataServerTest(const Clock* other_clock, const model::AuthSettings& settings = {})
        : clock_(other_clock == nullptr ? fake_clock_ : *other_clock),
          identity_(dir_ / "auth.db", clock_, settings) {}
    void TearDown() override { release(); }
    void start(unsigned workers = 2) {
        ASSERT_TRUE(plugins_->load("", testing::install_plugin(dir_, "misbehaving"), {}));
        auto socket = transport::ServerSocket::open(endpoint_, 0600);
        ASSERT_TRUE(socket) << socket.error().message;
        server_ = std::make_unique<DataServer>(std::move(*socket), dispatcher_, clock_, workers,
                                               ledger_, watchdog_);
        client_.emplace(std::move(*transport::Client::open(endpoint_)));
        ASSERT_TRUE(client_->wait_connected(milliseconds(5000)));
    }
    Watchdog watchdog_;  // Of start().
    void send(const json& request) {
        const std::string bytes = dump_msgpack(request);
        ASSERT_TRUE(client_->send(bytes));
    }
    json receive() {
        for (int rounds = 0; rounds < 500; ++rounds) {
            if (auto reply = client_->receive()) return parse_msgpack(*reply);
            client_->wait(milliseconds(20), -1);
        }
        ADD_FAILURE() << "no reply";
        // What tests look at: a member that is not there would crash the program.
        return {{"id", ""}, {"ok", false}, {"error", {{"code", "no reply"}, {"message", ""}}}};
    }
    // A request that stays in the plugin until release().
    void send_blocking(int deadline_ms = 60'000) {
        send({{"v", 1},
              {"id", "slow"},
              {"method", "bad.blocks"},
              {"params", {{"until", release_file_}}},
              {"deadline_ms", deadline_ms}});
        ASSERT_TRUE(eventually([&] { return is_held(); }));
    }
    void release() { std::ofstream(release_file_) << "now"; }
    bool is_held() { return !plugins_->list()[0].generations[0].holders.empty(); }
    json call(const json& request) {
        send(request);
        return receive();
    }
    // The loop counts a reply after it has handed it over: the client may be a moment ahead.
    bool ledger_adds_up() {
        return eventually([&] {
            const model::LedgerCounts counts = ledger_.read();
            return counts.balanced() && counts.in_flight == 0;
        });
    }
    std::string code(const json& request) {
        const json reply = call(request);
        return reply["ok"].get<bool>() ? "ok" : reply["error"]["code"].get<std::string>();
    }

    const testing::TempDir dir_;
    const std::string endpoint_ = "ipc://" + dir_.path() + "/run/data.sock";
    const std::string release_file_ = dir_ / "release";
    testing::FakeClock fake_clock_;
    const Clock& clock_;
    testing::Identity identity_;
    std::unique_ptr<jobs::JobStore> jobs_ = std::move(*jobs::open_sqlite_job_store(
        dir_ / "jobs.db", clock_, {}, sqlite::Durability::kUnsyncedForTest));
    std::unique_ptr<catalog::CatalogStore> catalog_ = std::move(*catalog::open_sqlite_catalog_store(
        dir_ / "catalog.db", clock_, sqlite::Durability::kUnsyncedForTest));
    std::unique_ptr<plugins::PluginHost> plugins_ =
        std::move(*plugins::PluginHost::open(testing::host_options(dir_, {&clock_,
                                                                          &identity_.authenticator,
                                                                          &jobs_->reader(),
                                                                          &jobs_->organizations(),
                                                                          nullptr,
                                                                          {}})));
    model::Ledger ledger_;
    exports::ExportService exports_{jobs_->requests(), catalog_->reader(), catalog_->templates(),
                                    std::chrono::seconds(0), [] {}};
    Dispatcher dispatcher_{{identity_.authenticator,
                            plugins_->routing(),
                            {jobs_->reader(), jobs_->requests(), exports_},
                            jobs_->organizations(),
                            {},
                            [this] { return plugins_->methods(); },
                            {},
                            {}}};
    std::unique_ptr<DataServer> server_;
    std::optional<transport::Client> client_;
};

TEST_F(DataServerTest, TheLoopTellsTheWatchdogOnceAnInterval) {
    std::atomic<int> told{0};
    watchdog_ = {std::chrono::seconds(10), [&] { ++told; }};
    start();
    ASSERT_TRUE(eventually([&] { return told == 1; }));
    for (int count = 0; count < 5; ++count)
        EXPECT_EQ(code({{"v", 1}, {"id", "a"}, {"method", "sys.ping"}}), "ok");
    EXPECT_EQ(told, 1);
    fake_clock_.advance(std::chrono::seconds(10));
    EXPECT_TRUE(eventually([&] { return told == 2; }));
    server_.reset();
}

TEST_F(DataServerTest, AnswersAndEchoesTheId) {
    start();
    const json reply = call({{"v", 1}, {"id", "x-1"}, {"method", "sys.ping"}});
    EXPECT_EQ(reply["id"], "x-1");
    EXPECT_EQ(reply["result"], (json{{"pong", true},
                                     {"many_per_message", true},
                                     {"registry", jobs_->reader().registry_id()},
                                     {"alarms", json::array()}}));
    EXPECT_FALSE(reply.contains("served_by"));
    EXPECT_EQ(call({{"v", 1}, {"method", "sys.ping"}})["id"].get<std::string>().size(),
              36U);  // Made by the daemon.
    const json by_plugin = call({{"v", 1}, {"method", "bad.good"}});
    EXPECT_EQ(by_plugin["served_by"]["plugin"], "misbehaving");
    EXPECT_EQ(by_plugin["served_by"]["generation"], 1);
    const json methods = call({{"v", 1}, {"method", "sys.methods"}});
    EXPECT_GT(methods["result"]["methods"].size(), 10U);
}

TEST_F(DataServerTest, EveryKindOfBadRequestGetsItsReply) {
    start();
    EXPECT_EQ(code({{"v", 2}, {"method", "sys.ping"}}), "bad_request");
    EXPECT_EQ(code({{"v", 1}, {"method", "no.such"}}), "unknown_method");
    EXPECT_EQ(code({{"v", 1}, {"method", "sys.ping"}, {"deadline_ms", 0}}), "expired");
    EXPECT_EQ(code({{"v", 1}, {"method", "jobs.get"}, {"params", {{"job_id", "x"}}}}),
              "unauthenticated");
    EXPECT_EQ(code({{"v", 1}, {"method", "bad.throw"}}), "plugin_fault");
    EXPECT_EQ(code({{"v", 1}, {"method", "sys.ping"}}), "ok");
    ASSERT_TRUE(client_->send("\xc1 not msgpack"));
    EXPECT_EQ(receive()["error"]["code"], "bad_request");
    ASSERT_TRUE(client_->send(std::string(limits::kRequestBytesMax + 1, 'x')));
    EXPECT_EQ(receive()["error"]["code"], "too_large");
    EXPECT_TRUE(ledger_adds_up());
}

TEST_F(DataServerTest, RequestsThatComeTogetherAreAnsweredEachForItself) {
    start();
    std::vector<std::string> bytes;
    const auto add = [&](const json& request) { bytes.push_back(dump_msgpack(request)); };
    // More than there are slots for; some with a fault of their own.
    constexpr std::size_t kRequests = limits::kPeerCallsMax + 500;
    bytes.emplace_back();
    for (std::size_t index = 0; index < kRequests; ++index) {
        const std::string id = std::to_string(index);
        if (index % 10 == 1) {
            add({{"v", 1}, {"id", id}, {"method", "bad.throw"}});
        } else if (index % 10 == 2) {
            add({{"v", 2}, {"id", id}, {"method", "sys.ping"}});
        } else {
            add({{"v", 1}, {"id", id}, {"method", "bad.good"}});
        }
    }
    const std::vector<std::string_view> requests(bytes.begin(), bytes.end());
    ASSERT_TRUE(client_->send(requests));
    std::map<std::string, std::string> outcomes;  // By id; that of an empty frame is "".
    std::size_t overloaded = 0;
    for (std::size_t count = 0; count < requests.size(); ++count) {
        const json reply = receive();
        ASSERT_TRUE(reply.contains("ok"));
        const std::string id = reply["id"].get<std::string>();
        const std::string outcome =
            reply["ok"].get<bool>() ? "ok" : reply["error"]["code"].get<std::string>();
        EXPECT_TRUE(outcomes.emplace(id, outcome).second) << id << " was answered twice";
        if (outcome == "overloaded") ++overloaded;
    }
    EXPECT_EQ(outcomes[""], "bad_request");
    for (std::size_t index = 0; index < kRequests; ++index) {
        const std::string& outcome = outcomes[std::to_string(index)];
        if (outcome == "overloaded") continue;
        EXPECT_EQ(outcome, index % 10 == 1   ? "plugin_fault"
                           : index % 10 == 2 ? "bad_request"
                                             : "ok")
            << index;
    }
    EXPECT_LE(overloaded, 500U);
    EXPECT_TRUE(ledger_adds_up());
    EXPECT_EQ(code({{"v", 1}, {"method", "sys.ping"}}), "ok");
}

TEST_F(DataServerTest, PermissionsAreTheKeysNotTheCallers) {
    start();
    const auto reader = identity_.keys->create("acme", "", {"product:read"});
    const json auth = {{"authorization", "Bearer " + reader->text},
                       {"permissions", {"job:create", "job:read"}}};
    const json refused = call({{"v", 1},
                               {"method", "jobs.create"},
                               {"auth", auth},
                               {"params", {{"job_type", "export"}, {"total_items", 1}}}});
    EXPECT_EQ(refused["error"]["code"], "permission_denied");
    EXPECT_EQ(refused["error"]["message"], "Missing required permission: job:create");
    EXPECT_EQ(
        code({{"v", 1}, {"method", "exports.submit"}, {"auth", auth}, {"params", json::object()}}),
        "ok");
}

TEST_F(DataServerTest, ExpiredWorkIsNeverStartedAndLateWorkIsAnsweredOnce) {
    start(1);
    send_blocking(300);
    send({{"v", 1}, {"id", "queued"}, {"method", "bad.good"}, {"deadline_ms", 200}});
    ASSERT_TRUE(eventually([&] { return server_->occupied() == 2; }));
    fake_clock_.advance(milliseconds(200));
    const json first = receive();
    EXPECT_EQ(first["id"], "queued");
    EXPECT_EQ(first["error"]["code"], "expired");
    EXPECT_EQ(first["error"]["executed"], "no");
    fake_clock_.advance(milliseconds(100));
    const json second = receive();
    EXPECT_EQ(second["id"], "slow");
    EXPECT_EQ(second["error"]["code"], "deadline_exceeded");
    EXPECT_EQ(second["error"]["executed"], "unknown");
    release();
    const json third = call({{"v", 1}, {"id", "after"}, {"method", "sys.ping"}});
    EXPECT_EQ(third["id"], "after");  // The late result of "slow" was dropped.
    // Until the slow one has come back; the other was never begun.
    EXPECT_TRUE(eventually([&] { return !is_held(); }));
    EXPECT_EQ(plugins_->list()[0].handled, 1U);
    EXPECT_EQ(code({{"v", 1}, {"method", "sys.ping"}, {"deadline_ms", 0}}), "expired");
    EXPECT_TRUE(ledger_adds_up());
    // What was begun is not among them; the counts are published after the replies.
    EXPECT_TRUE(eventually([&] { return ledger_.read().expired == 2U; }));
}

class DataServerByTheMachinesClock : public DataServerTest {
protected:
    DataServerByTheMachinesClock() : DataServerTest(&system_clock()) {}
};

TEST_F(DataServerByTheMachinesClock, ADeadlinePasses) {
    start(1);
    send_blocking();
    EXPECT_EQ(code({{"v", 1}, {"method", "bad.good"}, {"deadline_ms", 50}}), "expired");
}

TEST_F(DataServerTest, ManyCallsInFlightAreEachAnsweredExactlyOnce) {
    start(3);
    constexpr int kCalls = 3000;
    std::vector<int> answers(kCalls, 0);
    int received = 0;
    const auto take = [&] {
        while (auto bytes = client_->receive()) {
            ++answers[static_cast<std::size_t>(std::stoi(std::string(message::reply_id(*bytes))))];
            ++received;
        }
    };
    for (int index = 0; index < kCalls; ++index) {
        const std::string bytes =
            dump_msgpack({{"v", 1}, {"id", std::to_string(index)}, {"method", "bad.good"}});
        // It reads while it cannot write: replies nobody takes for kSocketLinger are given up.
        while (!client_->send(bytes)) {
            client_->wait(milliseconds(1), -1);
            take();
        }
        take();
    }
    for (int rounds = 0; rounds < 1000 && received < kCalls; ++rounds) {
        client_->wait(milliseconds(10), -1);
        take();
    }
    const auto ledger = ledger_.read();
    EXPECT_EQ(received, kCalls) << ledger.replied << " replied, " << ledger.error_replied
                                << " refused, " << ledger.client_gone << " gone, "
                                << ledger.in_flight << " in flight, " << client_->losses()
                                << " connections lost";
    EXPECT_EQ(std::ranges::count(answers, 1), kCalls);
    EXPECT_TRUE(ledger_adds_up());
    EXPECT_EQ(ledger_.read().accepted, static_cast<std::uint64_t>(kCalls));
}

// A client that asks and asks before it reads its first answer: more than all the queues between
// hold.
TEST_F(DataServerTest, RepliesWaitForAPeerThatReadsLate) {
    start(3);
    constexpr int kCalls = 5000;
    for (int index = 0; index < kCalls; ++index) {
        const std::string bytes =
            dump_msgpack({{"v", 1}, {"id", std::to_string(index)}, {"method", "sys.ping"}});
        while (!client_->send(bytes)) std::this_thread::yield();
    }
    std::vector<int> answers(kCalls, 0);
    for (int rounds = 0; rounds < 1000 && std::ranges::count(answers, 1) < kCalls; ++rounds) {
        client_->wait(milliseconds(10), -1);
        while (auto bytes = client_->receive())
            ++answers[static_cast<std::size_t>(std::stoi(std::string(message::reply_id(*bytes))))];
    }
    EXPECT_EQ(std::ranges::count(answers, 1), kCalls);
    EXPECT_EQ(ledger_.read().client_gone, 0U);
}

TEST_F(DataServerTest, AFullQueueRefusesAtOnceAndLosesNothing) {
    start(1);
    constexpr std::size_t kExtra = 50;
    const auto ping = [](std::size_t index) {
        const std::string bytes =
            dump_msgpack({{"v", 1}, {"id", std::to_string(index)}, {"method", "bad.good"}});
        return bytes;
    };
    send_blocking();
    std::size_t overloaded = 0;
    std::size_t answered = 0;
    const auto take = [&] {
        while (auto bytes = client_->receive()) {
            const json reply = parse_msgpack(*bytes);
            ++answered;
            if (reply["ok"].get<bool>()) continue;
            EXPECT_EQ(reply["error"]["code"], "overloaded");
            EXPECT_EQ(reply["error"]["retryable"], true);
            EXPECT_TRUE(reply["error"].contains("retry_after_ms"));
            ++overloaded;
        }
    };
    for (std::size_t index = 0; index < limits::kPeerCallsMax + kExtra; ++index) {
        while (!client_->send(ping(index))) client_->wait(milliseconds(1), -1);
        take();
    }
    // The worker is still in the first one: the queue has filled up behind it.
    for (int rounds = 0; rounds < 2000 && overloaded <= kExtra; ++rounds) {
        client_->wait(milliseconds(10), -1);
        take();
    }
    release();
    const std::size_t sent = limits::kPeerCallsMax + kExtra + 1;
    for (int rounds = 0; rounds < 2000 && answered < sent; ++rounds) {
        client_->wait(milliseconds(10), -1);
        take();
    }
    EXPECT_EQ(answered, sent);
    EXPECT_EQ(overloaded, kExtra + 1);
    EXPECT_TRUE(ledger_adds_up());
    EXPECT_EQ(ledger_.read().overloaded, overloaded);
}

// One that asks a thousand times at once delays another by a turn, not by a thousand.
TEST_F(DataServerTest, PeersTakeTurns) {
    start(1);
    send_blocking();
    // Several, because two peers may be of one class; there is room for all of them in one.
    constexpr std::size_t kOthers = 4;
    constexpr std::size_t kMany = limits::kPeerCallsMax - 1 - kOthers;
    for (std::size_t count = 0; count < kMany; ++count)
        send({{"v", 1}, {"id", "many"}, {"method", "bad.good"}});
    ASSERT_TRUE(eventually([&] { return server_->occupied() == kMany + 1; }));
    const std::string blocks = dump_msgpack({{"v", 1},
                                             {"id", "other"},
                                             {"method", "bad.blocks"},
                                             {"params", {{"until", dir_ / "release-others"}}}});
    std::vector<transport::Client> others;
    for (std::size_t count = 0; count < kOthers; ++count) {
        others.push_back(std::move(*transport::Client::open(endpoint_)));
        ASSERT_TRUE(others.back().wait_connected(milliseconds(5000)));
        ASSERT_TRUE(others.back().send(blocks));
    }
    ASSERT_TRUE(eventually([&] { return server_->occupied() == kMany + 1 + kOthers; }))
        << "slots are left for others";
    release();
    ASSERT_TRUE(eventually([&] {
        const auto plugins = plugins_->list();
        const auto& holders = plugins[0].generations[0].holders;
        return !holders.empty() && holders[0].request_id == "other";
    }));
    EXPECT_LT(plugins_->list()[0].handled, 10U);
    std::ofstream(dir_ / "release-others") << "now";
    for (std::size_t count = 0; count < kMany + 1; ++count) EXPECT_EQ(receive()["ok"], true);
    EXPECT_TRUE(ledger_adds_up());
}

TEST_F(DataServerTest, AStalledWorkerIsReplaced) {
    start(1);
    send_blocking();
    fake_clock_.advance(limits::kWorkerStall + milliseconds(1));
    send({{"v", 1}, {"id", "quick"}, {"method", "bad.good"}});
    EXPECT_EQ(receive()["id"], "quick");
    EXPECT_EQ(server_->stalled_workers(), 1U);
    release();
    EXPECT_EQ(receive()["id"], "slow");
    // The one that came back is one too many, and leaves.
    ASSERT_TRUE(eventually([&] {
        fake_clock_.advance(limits::kDeadlineScanInterval);
        return server_->stalled_workers() == 0;
    }));
    for (int count = 0; count < 10; ++count)
        EXPECT_EQ(code({{"v", 1}, {"method", "bad.good"}}), "ok");
    EXPECT_EQ(server_->stalled_workers(), 0U);
    EXPECT_TRUE(ledger_adds_up());
}

TEST_F(DataServerTest, ARequestThatDoesNotReturnIsNamedUntilItReturns) {
    start(1);
    send_blocking(500);
    fake_clock_.advance(limits::kWorkerStall + milliseconds(1));
    EXPECT_EQ(receive()["error"]["code"], "deadline_exceeded");
    ASSERT_TRUE(eventually([&] { return server_->stuck_requests().size() == 1; }));
    const StuckRequests stuck = server_->stuck_requests()[0];
    EXPECT_EQ(stuck.plugin, "misbehaving");
    EXPECT_EQ(stuck.count, 1U);
    EXPECT_EQ(stuck.request_id, "slow");
    release();
    ASSERT_TRUE(eventually([&] {
        fake_clock_.advance(limits::kDeadlineScanInterval);
        return server_->stuck_requests().empty();
    }));
    EXPECT_EQ(code({{"v", 1}, {"method", "bad.good"}}), "ok");
    EXPECT_TRUE(ledger_adds_up());
}

TEST_F(DataServerTest, ThePluginThatHangsIsRefusedAndTheDaemonsOwnMethodsGoOn) {
    start(1);
    const json blocking = {{"v", 1},
                           {"id", "slow"},
                           {"method", "bad.blocks"},
                           {"params", {{"until", release_file_}}},
                           {"deadline_ms", 500}};
    constexpr std::size_t kSent = 100;
    for (std::size_t count = 0; count < kSent; ++count) send(blocking);
    ASSERT_TRUE(eventually([&] { return server_->occupied() == kSent; }));
    fake_clock_.advance(milliseconds(600));
    for (std::size_t count = 0; count < kSent; ++count) {
        const json late = receive()["error"]["code"];
        EXPECT_TRUE(late == "expired" || late == "deadline_exceeded") << late;
    }
    // One that a free worker can try waits for its deadline, as this clock goes on.
    const auto next_code = [&] {
        send(blocking);
        json code;
        EXPECT_TRUE(eventually([&] {
            fake_clock_.advance(milliseconds(100));
            const auto reply = client_->receive();
            if (reply) code = parse_msgpack(*reply)["error"]["code"];
            return reply.has_value();
        }));
        return code;
    };
    ASSERT_TRUE(eventually([&] { return next_code() == "plugin_unavailable"; }));
    EXPECT_EQ(call({{"v", 1}, {"method", "sys.methods"}})["ok"], true);
    EXPECT_TRUE(server_->stuck_requests()[0].plugin_is_closed);
    release();
    ASSERT_TRUE(eventually([&] {
        fake_clock_.advance(limits::kDeadlineScanInterval);
        return code({{"v", 1}, {"method", "bad.good"}}) == "ok";
    }));
    EXPECT_TRUE(ledger_adds_up());
}

TEST_F(DataServerTest, RequestsOverTheOrganizationsQuotaAreRefused) {
    start();
    const auto key = identity_.keys->create("acme", "", {"job:read"});
    const auto other = identity_.keys->create("umbrella", "", {"job:read"});
    jobs::OrganizationPolicy policy;
    policy.organization_id = "acme";
    policy.requests_per_second_max = 3;
    ASSERT_TRUE(jobs_->organizations().set_organization(policy));
    const auto list = [](const auto& of) {
        return json{
            {"v", 1}, {"method", "jobs.list"}, {"auth", {{"authorization", "Bearer " + of->text}}}};
    };
    for (int count = 0; count < 3; ++count) EXPECT_EQ(code(list(key)), "ok");
    const json refused = call(list(key));
    EXPECT_EQ(refused["error"]["code"], "rate_limited");
    EXPECT_EQ(refused["error"]["retryable"], true);
    EXPECT_EQ(refused["error"]["executed"], "no");
    EXPECT_EQ(refused["error"]["retry_after_ms"], 1000);
    EXPECT_EQ(refused["error"]["message"],
              "quota: organization acme may send 3 requests a second; send fewer");
    EXPECT_EQ(code(list(other)), "ok");
    fake_clock_.advance(milliseconds(1000));
    EXPECT_EQ(code(list(key)), "ok");
    EXPECT_TRUE(ledger_adds_up());
}

// A client takes a daemon that answers no pings for dead.
TEST_F(DataServerTest, PingsAreAnsweredWhileAllWorkersAreBusy) {
    start(1);
    send_blocking();
    for (int count = 0; count < 100; ++count)
        send({{"v", 1}, {"id", "waits"}, {"method", "bad.good"}});
    send({{"v", 1}, {"id", "ping"}, {"method", "sys.ping"}});
    const json reply = receive();
    EXPECT_EQ(reply["id"], "ping");
    EXPECT_EQ(reply["result"]["pong"], true);
    release();
    for (int count = 0; count < 101; ++count) EXPECT_EQ(receive()["ok"], true);
    EXPECT_TRUE(ledger_adds_up());
}

// As many slots as there are: what is in them is bounded, too.
TEST_F(DataServerTest, RequestsInSlotsHaveABudgetOfBytes) {
    start(1);
    send_blocking();
    const std::string large = dump_msgpack({{"v", 1},
                                            {"id", "large"},
                                            {"method", "bad.good"},
                                            {"params", {{"x", std::string(1'000'000, 'x')}}}});
    constexpr std::size_t kExtra = 8;
    const std::size_t fit = limits::kCallsBytesMax / large.size();
    for (std::size_t count = 0; count < fit + kExtra; ++count) {
        while (!client_->send(large)) client_->wait(milliseconds(1), -1);
    }
    for (std::size_t count = 0; count < kExtra; ++count) {
        const json reply = receive();
        EXPECT_EQ(reply["id"], "large");
        EXPECT_EQ(reply["error"]["code"], "overloaded");
    }
    EXPECT_EQ(server_->occupied(), fit + 1);
    release();
    for (std::size_t count = 0; count < fit + 1; ++count) EXPECT_EQ(receive()["ok"], true);
    EXPECT_TRUE(ledger_adds_up());
}

TEST_F(DataServerTest, DrainingRefusesNewWork) {
    start();
    send_blocking();
    server_->drain();
    EXPECT_EQ(code({{"v", 1}, {"method", "sys.ping"}}), "draining");
    release();
    EXPECT_EQ(receive()["id"], "slow");  // What was accepted is finished.
}

// What no reply could be sent to is counted, and costs nobody else anything.
TEST_F(DataServerTest, AnEnvelopeOverItsBoundsIsDroppedAndCounted) {
    start();
    const std::unique_ptr<void, int (*)(void*)> context(::zmq_ctx_new(), ::zmq_ctx_term);
    const std::unique_ptr<void, int (*)(void*)> dealer(::zmq_socket(context.get(), ZMQ_DEALER),
                                                       ::zmq_close);
    ASSERT_EQ(::zmq_connect(dealer.get(), endpoint_.c_str()), 0);
    const auto send_frames = [&](const std::vector<std::string>& frames) {
        for (std::size_t index = 0; index < frames.size(); ++index) {
            const int more = index + 1 < frames.size() ? ZMQ_SNDMORE : 0;
            ASSERT_GE(::zmq_send(dealer.get(), frames[index].data(), frames[index].size(), more),
                      0);
        }
    };
    const std::string ping = dump_msgpack({{"v", 1}, {"method", "sys.ping"}});
    const std::string long_frame(limits::kEnvelopeBytesMax + 1, 'x');
    send_frames({"a", "b", "c", "d", "", ping});
    send_frames({long_frame, "", ping});
    EXPECT_TRUE(eventually([&] { return ledger_.read().dropped == 2; }))
        << ledger_.read().dropped << " dropped";
    EXPECT_EQ(ledger_.read().accepted, 0U);
    EXPECT_EQ(code({{"v", 1}, {"method", "sys.ping"}}), "ok");
    EXPECT_TRUE(ledger_adds_up());
}

// A provider that is asked and does not answer.
struct SilentProvider {
    const testing::TempDir provider_dir;
    testing::HttpServer server{[](const testing::HttpServer::Request&) {
        testing::HttpServer::Response late;
        late.delay = std::chrono::seconds(60);
        return late;
    }};
    model::AuthSettings settings() const {
        model::AuthSettings out;
        out.session_url = server.url() + "/";
        out.session_user = "project-test";
        out.session_secret_file = provider_dir.write("secret", "hush\n");
        return out;
    }
};

class DataServerWithASilentProvider : protected SilentProvider, public DataServerTest {
protected:
    DataServerWithASilentProvider() : DataServerTest(nullptr, settings()) {}
};

// However many strangers come with made-up tokens: memory is bounded, and who has a key is served.
TEST_F(DataServerWithASilentProvider, ThoseWhoWaitToBeIdentifiedAreBounded) {
    start();
    constexpr std::size_t kExtra = 10;
    const std::size_t held = limits::kServerSessionLookups + limits::kSessionLookupsWaitingMax;
    for (std::size_t index = 0; index < held + kExtra; ++index) {
        send({{"v", 1},
              {"id", std::to_string(index)},
              {"method", "jobs.list"},
              {"auth", {{"session", "session-token-" + std::to_string(100 + index)}}}});
    }
    send({{"v", 1}, {"id", "ping"}, {"method", "sys.ping"}});
    std::size_t overloaded = 0;
    for (json reply = receive(); reply["id"] != "ping"; reply = receive()) {
        ASSERT_EQ(reply["error"]["message"], "too many sessions are being checked; try again")
            << reply;
        EXPECT_EQ(reply["error"]["code"], "overloaded");
        EXPECT_EQ(reply["error"]["retry_after_ms"], 1000);
        ++overloaded;
    }
    EXPECT_GE(overloaded, kExtra);
    EXPECT_LE(overloaded, kExtra + limits::kServerSessionLookups) << "who asks may not have begun";
    identity_.sessions->stop();  // So that the rest need not wait for the provider.
    for (std::size_t count = overloaded; count < held + kExtra; ++count)
        EXPECT_EQ(receive()["error"]["message"], "the service cannot do this right now; try again");
    EXPECT_TRUE(ledger_adds_up());
    EXPECT_EQ(ledger_.read().overloaded, overloaded);
}

TEST_F(DataServerTest, StoppingWaitsForWhatIsUnderWay) {
    start();
    send_blocking();
    std::thread stopping([&] { EXPECT_EQ(server_->stop(), 0U); });
    ASSERT_TRUE(eventually([&] { return server_->draining(); }));
    // A server that does not wait has time to show it.
    std::this_thread::sleep_for(milliseconds(50));  // sleep: nothing is to happen
    EXPECT_EQ(server_->occupied(), 1U);
    release();
    json reply = receive();
    stopping.join();
    EXPECT_EQ(reply["id"], "slow") << "it was accepted, so it is answered";
    EXPECT_EQ(reply["ok"], true);
}

TEST_F(DataServerByTheMachinesClock, PeersThatHaveNotHeardOfTheEndAreAnswered) {
    start();
    std::thread stopping;
    int sent = 0;
    int answered = 0;
    bool heard = false;
    const auto take = [&] {
        while (auto bytes = client_->receive()) {
            const json reply = parse_msgpack(*bytes);
            heard = heard || reply["ok"] == false;
            ++answered;
        }
    };
    while (!heard && sent < 1'000'000) {
        take();
        if (sent - answered >= 64) continue;
        send({{"v", 1}, {"method", "sys.ping"}});
        if (++sent == 1000) stopping = std::thread([&] { EXPECT_EQ(server_->stop(), 0U); });
    }
    EXPECT_TRUE(eventually([&] {
        take();
        return answered == sent;
    })) << answered
        << " of " << sent;
    stopping.join();
    EXPECT_TRUE(heard);
}

TEST_F(DataServerTest, StoppingSaysHowManyWorkersAreStuck) {
    start();
    send_blocking();
    std::atomic<bool> stopped{false};
    std::thread stopping([&] {
        EXPECT_EQ(server_->stop(), 1U);
        stopped.store(true);
    });
    EXPECT_TRUE(eventually([&] {
        fake_clock_.advance(limits::kDrainTimeout / 10);
        return stopped.load();
    }));
    stopping.join();
    EXPECT_EQ(server_->occupied(), 1U) << "its worker still uses the server";
    EXPECT_EQ(receive()["error"]["code"], "deadline_exceeded") << "its caller waits no longer";
    release();
    EXPECT_TRUE(eventually([&] { return server_->stop() == 0; })) << "it has come back";
}

}  // namespace
}  // namespace export_worker::server
