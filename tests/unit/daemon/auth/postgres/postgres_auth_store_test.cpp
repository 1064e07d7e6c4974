// What only records that several daemons share can do, or do wrong.
#include "daemon/auth/postgres/postgres_auth_store.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <cstdio>
#include <fstream>
#include <mutex>
#include <thread>

#include "base/in_memory_error.hpp"
#include "daemon/auth/auth_feed.hpp"
#include "daemon/auth/authenticator.hpp"
#include "tests/unit/daemon/auth/postgres/postgres_auth_under_test.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/postgres_clock.hpp"
#include "tests/unit/support/postgres_proxy.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::auth {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using cluster::Membership;

// Everything of a daemon that authenticates.
struct Daemon {
    // The membership and the store may reach the database in different ways.
    Daemon(const postgres::DatabaseOptions& lease, const postgres::DatabaseOptions& records,
           const Clock& clock, const std::string& roles_file)
        : membership(join_cluster(lease, clock)),
          store(std::move(*open_postgres_auth_store(records, *membership))),
          keys(std::move(*KeyStore::open(store->keys(), clock))),
          members(std::move(*MemberStore::open(store->members(), store->sessions(), clock))),
          sessions(std::move(*SessionVerifier::open({}, *members, clock))),
          authenticator(*keys, *members, *sessions, std::move(*RolePolicy::read(roles_file)),
                        [this] { return store->is_current(); }) {}
    void start_feed() {
        auto opened = AuthFeed::open(*store, *keys, *members);
        ASSERT_TRUE(opened) << opened.error().message;
        feed = std::move(*opened);
    }
    // "": accepted.
    std::string refusal(const Presented& presented, model::Principal& principal) const {
        const auto known = authenticator.authenticate(presented, principal);
        return known ? "" : std::string(to_string(known.error().code));
    }
    std::string refusal_of_key(const std::string& text) const {
        model::Principal principal;
        return refusal({"Bearer " + text, "", ""}, principal);
    }
    std::string refusal_of_session(const std::string& token) const {
        model::Principal principal;
        return refusal({"", "acme", token}, principal);
    }

    const std::unique_ptr<Membership> membership;
    const std::unique_ptr<AuthStore> store;
    const std::unique_ptr<KeyStore> keys;
    const std::unique_ptr<MemberStore> members;
    const std::unique_ptr<SessionVerifier> sessions;
    Authenticator authenticator;
    std::unique_ptr<AuthFeed> feed;
};

class PostgresAuthStoreTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        std::ofstream(dir_ / "roles.ini")
            << "[role.Editor]\npermissions = product:read job:create\n[role.Viewer]\npermissions = "
               "product:read\n";
        ASSERT_EQ(::chmod((dir_ / "roles.ini").c_str(), 0600), 0);
        proxy_.emplace(*server_);
    }
    std::unique_ptr<Daemon> start(const Clock& clock) { return start(options_, options_, clock); }
    std::unique_ptr<Daemon> start(const postgres::DatabaseOptions& lease,
                                  const postgres::DatabaseOptions& records, const Clock& clock) {
        auto out = std::make_unique<Daemon>(lease, records, clock, dir_ / "roles.ini");
        out->start_feed();
        return out;
    }
    static KeyStore::Created make_key(Daemon& daemon, std::optional<seconds> length = {}) {
        auto made = daemon.keys->create("acme", "ci", {"product:read"}, length);
        EXPECT_TRUE(made) << made.error().message;
        return *made;
    }
    static bool accepts_soon(const Daemon& daemon, const KeyStore::Created& key) {
        return testing::eventually([&] { return daemon.refusal_of_key(key.text).empty(); });
    }
    void execute(const std::string& sql) {
        const auto connection = connect();
        const auto done = connection->execute(sql);
        ASSERT_TRUE(done) << done.error().message;
    }

    const testing::TempDir dir_;
    std::optional<testing::PostgresProxy> proxy_;
};

// Asks as fast as it can, on threads, whether something is accepted; what is asked after close() is
// not to be.
template <typename Ask>
class Askers {
public:
    explicit Askers(Ask ask) : ask_(std::move(ask)) {
        for (int thread = 0; thread < 2; ++thread) threads_.emplace_back([this] { run(); });
        EXPECT_TRUE(testing::eventually([this] { return accepted_ > 100; }));
    }
    void close() { closed_ = true; }
    // So often it was accepted after close().
    [[nodiscard]] int late() {
        const int asked = asked_;
        EXPECT_TRUE(testing::eventually([&] { return asked_ > asked + 1'000; }));
        stopping_ = true;
        for (std::jthread& each : threads_) each.join();
        return late_;
    }

private:
    void run() {
        while (!stopping_) {
            const bool closed = closed_;
            if (ask_()) {
                ++accepted_;
                if (closed) ++late_;
            }
            ++asked_;
        }
    }

    const Ask ask_;
    std::atomic<bool> closed_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<int> asked_{0};
    std::atomic<int> accepted_{0};
    std::atomic<int> late_{0};
    std::vector<std::jthread> threads_;
};

// Prints how long it took: a test under load cannot promise it.
class Stopwatch {
public:
    explicit Stopwatch(const char* what) : what_(what) {}
    ~Stopwatch() {
        std::printf(
            "%s: %.0f ms\n", what_,
            std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - began_)
                .count());
    }

private:
    const char* const what_;
    const std::chrono::steady_clock::time_point began_ = std::chrono::steady_clock::now();
};

TEST_F(PostgresAuthStoreTest, WhatOneDaemonHasMadeIsAcceptedByTheOther) {
    const auto a = start(system_clock());
    const auto b = start(system_clock());
    const auto key = make_key(*a);
    EXPECT_EQ(a->refusal_of_key(key.text), "");
    {
        const Stopwatch watch("a key of another daemon is accepted after");
        EXPECT_TRUE(accepts_soon(*b, key));
    }
    ASSERT_TRUE(a->members->put({"ann", "acme", {"Editor"}, true}));
    EXPECT_TRUE(b->members->find("ann", "acme")) << "put() returns when all go by it";
    const auto session = a->members->create_session("ann", seconds(60));
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ(a->refusal_of_session(session->token), "");
    EXPECT_TRUE(testing::eventually([&] { return b->refusal_of_session(session->token).empty(); }));
    EXPECT_EQ(b->members->list_sessions()->rows.size(), 1U);
}

TEST_F(PostgresAuthStoreTest, NothingIsAcceptedAfterItsRevocationReturned) {
    const auto a = start(system_clock());
    const auto b = start(system_clock());
    const auto key = make_key(*a);
    Askers askers([&] { return b->refusal_of_key(key.text).empty(); });
    {
        const Stopwatch watch("a revocation takes");
        const auto revoked = a->keys->revoke(key.key.id);
        ASSERT_TRUE(revoked) << revoked.error().message;
        EXPECT_TRUE(revoked->revoked_us);
    }
    askers.close();
    EXPECT_EQ(askers.late(), 0);
    EXPECT_EQ(a->refusal_of_key(key.text), "unauthenticated");
}

TEST_F(PostgresAuthStoreTest, ARotatedKeyIsRefusedEverywhereWhenItsOverlapEnds) {
    const auto a = start(system_clock());
    const auto b = start(system_clock());
    const auto old = make_key(*a);
    Askers askers([&] { return b->refusal_of_key(old.text).empty(); });
    const auto fresh = a->keys->rotate(old.key.id, seconds(0), {});
    ASSERT_TRUE(fresh) << fresh.error().message;
    askers.close();
    EXPECT_EQ(b->refusal_of_key(fresh->text), "");
    EXPECT_EQ(askers.late(), 0);
    EXPECT_EQ(a->refusal_of_key(old.text), "unauthenticated");
    EXPECT_EQ(b->keys->list("acme")->rows.size(), 2U);
    // The other daemon rotates what it has not made.
    EXPECT_TRUE(b->keys->rotate(fresh->key.id, seconds(3'600), {}));
    EXPECT_FALSE(b->keys->rotate(old.key.id, seconds(0), {}));
}

TEST_F(PostgresAuthStoreTest, ASessionAndAMemberEndEverywhereAtOnce) {
    const auto a = start(system_clock());
    const auto b = start(system_clock());
    ASSERT_TRUE(a->members->put({"ann", "acme", {"Editor"}, true}));
    const auto ended = a->members->create_session("ann", seconds(3'600));
    const auto other = a->members->create_session("ann", seconds(3'600));
    {
        Askers askers([&] { return b->refusal_of_session(ended->token).empty(); });
        const auto revoked = a->members->revoke_session(ended->session.id);
        ASSERT_TRUE(revoked) << revoked.error().message;
        askers.close();
        EXPECT_EQ(askers.late(), 0);
    }
    Askers askers([&] { return b->refusal_of_session(other->token).empty(); });
    ASSERT_TRUE(a->members->put({"ann", "acme", {"Editor"}, false}));
    askers.close();
    EXPECT_EQ(askers.late(), 0);
}

TEST_F(PostgresAuthStoreTest, RolesAreThoseThatWerePutLastByAnyDaemon) {
    const auto a = start(system_clock());
    const auto b = start(system_clock());
    ASSERT_TRUE(a->members->put({"ann", "acme", {"Editor"}, true}));
    const auto session = b->members->create_session("ann", seconds(3'600));
    ASSERT_TRUE(session) << session.error().message;
    const auto may_create = [&](const Daemon& daemon) {
        model::Principal principal;
        EXPECT_EQ(daemon.refusal({"", "acme", session->token}, principal), "");
        return principal.may("job:create");
    };
    EXPECT_TRUE(may_create(*b));
    ASSERT_TRUE(a->members->put({"ann", "acme", {"Viewer"}, true}));
    EXPECT_FALSE(may_create(*b));
    ASSERT_TRUE(b->members->put({"ann", "acme", {"Editor"}, true}));
    EXPECT_TRUE(testing::eventually([&] { return a->refusal_of_session(session->token).empty(); }));
    EXPECT_TRUE(may_create(*a));
}

TEST_F(PostgresAuthStoreTest, ADaemonThatCannotHearOfRevocationsAnswersUnavailable) {
    testing::SchemaClock clock(options_);
    const postgres::DatabaseOptions through = proxy_->through(options_);
    const auto a = start(clock);
    const auto cut = start(through, through, clock);
    const auto key = make_key(*a);
    ASSERT_TRUE(cut->membership->renew());
    ASSERT_TRUE(accepts_soon(*cut, key));
    proxy_->stop(true);
    std::atomic<bool> has_returned{false};
    std::jthread revoker([&] {
        const auto revoked = a->keys->revoke(key.key.id);
        EXPECT_TRUE(revoked) << revoked.error().message;
        has_returned = true;
    });
    ASSERT_TRUE(
        testing::eventually([&] { return a->refusal_of_key(key.text) == "unauthenticated"; }));
    EXPECT_EQ(cut->refusal_of_key(key.text), "") << "it cannot know";
    EXPECT_FALSE(has_returned);
    clock.advance(limits::kLeaseLengthDefault - limits::kLeaseMargin);
    EXPECT_EQ(cut->refusal_of_key(key.text), "unavailable");
    EXPECT_EQ(cut->refusal_of_session("mos_whatever"), "unavailable");
    EXPECT_EQ(cut->authenticator.refused().unavailable, 2U);
    EXPECT_FALSE(has_returned) << "its lease is good";
    clock.advance(limits::kLeaseMargin);
    revoker.join();
    proxy_->stop(false);
    EXPECT_TRUE(testing::eventually([&] {
        const std::string refusal = cut->refusal_of_key(key.text);
        EXPECT_NE(refusal, "");
        return refusal == "unauthenticated";
    }));
}

TEST_F(PostgresAuthStoreTest, AKeyEndsEverywhereWithItsTime) {
    testing::SchemaClock clock(options_);
    const auto a = start(clock);
    const auto b = start(clock);
    const auto key = make_key(*a, seconds(2));
    ASSERT_TRUE(b->membership->renew());
    ASSERT_TRUE(accepts_soon(*b, key));
    clock.advance(seconds(2));
    EXPECT_EQ(a->refusal_of_key(key.text), "unauthenticated");
    EXPECT_EQ(b->refusal_of_key(key.text), "unauthenticated");
}

TEST_F(PostgresAuthStoreTest, WhatChangesWhileADaemonStartsIsKnownBeforeItAnswers) {
    const auto a = start(system_clock());
    const auto key = make_key(*a);
    const auto loading =
        std::make_unique<Daemon>(options_, options_, system_clock(), dir_ / "roles.ini");
    EXPECT_EQ(loading->refusal_of_key(key.text), "");
    ASSERT_TRUE(a->keys->revoke(key.key.id));
    const auto late = make_key(*a);
    loading->start_feed();
    EXPECT_EQ(loading->refusal_of_key(key.text), "unauthenticated");
    EXPECT_EQ(loading->refusal_of_key(late.text), "");
}

// As after a failover to a standby that had not got everything.
TEST_F(PostgresAuthStoreTest, WhatTheDatabaseHasLostIsReadAgain) {
    testing::SchemaClock clock(options_);
    const auto a = start(clock);
    const auto kept = make_key(*a);
    const auto lost = make_key(*a);
    ASSERT_TRUE(a->membership->renew());
    EXPECT_EQ(a->refusal_of_key(lost.text), "");
    execute("SET search_path = \"" + options_.connect.schema +
            "\"; DELETE FROM api_key WHERE id = '" + lost.key.id +
            "'; UPDATE change SET version = version - 1 WHERE kind = 'auth'");
    ASSERT_TRUE(a->membership->renew());
    EXPECT_TRUE(
        testing::eventually([&] { return a->refusal_of_key(lost.text) == "unauthenticated"; }));
    EXPECT_EQ(a->refusal_of_key(kept.text), "");
}

TEST_F(PostgresAuthStoreTest, ARevocationThatCannotBeWrittenOutlivesWhatOthersChange) {
    testing::SchemaClock clock(options_);
    const auto a = start(clock);
    const auto key = make_key(*a);
    execute("SET search_path = \"" + options_.connect.schema +
            "\"; CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE "
            "EXCEPTION 'no space left on device' USING ERRCODE = 'disk_full'; END$$;"
            "CREATE TRIGGER full_disk BEFORE UPDATE OF revoked_us ON api_key FOR EACH ROW EXECUTE "
            "FUNCTION refuse()");
    const auto revoked = a->keys->revoke(key.key.id);
    ASSERT_FALSE(revoked);
    EXPECT_TRUE(is_in_memory_error(revoked.error())) << revoked.error().message;
    EXPECT_EQ(a->refusal_of_key(key.text), "unauthenticated");
    // It comes again as it is in the records: with a change, and as a part of everything.
    execute("SET search_path = \"" + options_.connect.schema +
            "\"; UPDATE change SET version = version + 2 WHERE kind = 'auth'; UPDATE api_key SET "
            "changed_version = (SELECT version FROM change WHERE kind = 'auth')");
    const auto next = make_key(*a);
    EXPECT_EQ(a->refusal_of_key(next.text), "");
    EXPECT_EQ(a->refusal_of_key(key.text), "unauthenticated");
    execute("SET search_path = \"" + options_.connect.schema +
            "\"; UPDATE change SET version = 1 WHERE kind = 'auth'; DELETE FROM api_key WHERE id "
            "= '" +
            next.key.id + "'");
    ASSERT_TRUE(a->membership->renew());
    EXPECT_TRUE(
        testing::eventually([&] { return a->refusal_of_key(next.text) == "unauthenticated"; }));
    EXPECT_EQ(a->refusal_of_key(key.text), "unauthenticated");
}

TEST_F(PostgresAuthStoreTest, AWriteWhoseAnswerIsLostHappensOnce) {
    const auto a = start(options_, proxy_->through(options_), system_clock());
    proxy_->swallow_commit_answers(1);
    const auto key = make_key(*a);
    EXPECT_EQ(a->refusal_of_key(key.text), "");
    EXPECT_EQ(a->keys->list("acme")->rows.size(), 1U);
    proxy_->cut_before_commits(1);
    const auto fresh = a->keys->rotate(key.key.id, seconds(0), {});
    ASSERT_TRUE(fresh) << fresh.error().message;
    proxy_->swallow_commit_answers(1);
    ASSERT_TRUE(a->members->put({"ann", "acme", {"Editor"}, true}));
    proxy_->swallow_commit_answers(1);
    const auto session = a->members->create_session("ann", seconds(60));
    ASSERT_TRUE(session) << session.error().message;
    EXPECT_EQ(a->members->list_sessions()->rows.size(), 1U);
    proxy_->swallow_commit_answers(1);
    ASSERT_TRUE(a->members->revoke_session(session->session.id));
    proxy_->swallow_commit_answers(1);
    ASSERT_TRUE(a->keys->revoke(fresh->key.id));
    EXPECT_EQ(a->refusal_of_key(fresh->text), "unauthenticated");
    EXPECT_EQ(a->keys->list("acme")->rows.size(), 2U);
}

TEST_F(PostgresAuthStoreTest, ManyWritersOfTwoDaemonsLoseNothing) {
    constexpr int kThreads = 4;
    constexpr int kKeys = 10;  // Of each, of which every second is revoked.
    const auto a = start(system_clock());
    const auto b = start(system_clock());
    std::mutex mutex;
    std::vector<std::string> kept;
    std::vector<std::string> revoked;
    {
        std::vector<std::jthread> threads;
        for (int thread = 0; thread < kThreads; ++thread) {
            threads.emplace_back([&, thread] {
                Daemon& mine = thread % 2 == 0 ? *a : *b;
                Daemon& others = thread % 2 == 0 ? *b : *a;
                for (int count = 0; count < kKeys; ++count) {
                    const auto key = make_key(mine);
                    const bool revoke = count % 2 == 0;
                    if (revoke) {
                        EXPECT_TRUE(others.keys->revoke(key.key.id));
                    }
                    const std::lock_guard lock(mutex);
                    (revoke ? revoked : kept).push_back(key.text);
                }
            });
        }
    }
    for (const Daemon* daemon : {a.get(), b.get()}) {
        for (const std::string& text : kept)
            EXPECT_TRUE(testing::eventually([&] { return daemon->refusal_of_key(text).empty(); }));
        for (const std::string& text : revoked)
            EXPECT_EQ(daemon->refusal_of_key(text), "unauthenticated");
    }
}

TEST_F(PostgresAuthStoreTest, ADaemonBehindAPoolerFollowsToo) {
    postgres::DatabaseOptions pooled = options_;
    pooled.connect.pooler = postgres::Pooler::kTransaction;
    const auto a = start(system_clock());
    const auto b = start(pooled, pooled, system_clock());
    const auto key = make_key(*b);
    EXPECT_TRUE(accepts_soon(*a, key));
    ASSERT_TRUE(a->keys->revoke(key.key.id));
    EXPECT_EQ(b->refusal_of_key(key.text), "unauthenticated");
}

TEST_F(PostgresAuthStoreTest, BackupsAndFreeSpaceArePostgresOwnMatter) {
    const auto store = JoinedAuthStore::open(options_);
    for (const auto& refused : {store->backup(dir_ / "copy", {}), store->compact(seconds(1), {})})
        EXPECT_EQ(refused.error().code, ErrorCode::kFailedPrecondition);
    EXPECT_NE(store->backup(dir_ / "copy", {}).error().message.find("pg_dump"), std::string::npos);
}

TEST_F(PostgresAuthStoreTest, AnUnreadableDigestIsDamage) {
    const auto store = JoinedAuthStore::open(options_);
    execute("SET search_path = \"" + options_.connect.schema +
            "\"; INSERT INTO api_key (id, sha256, organization_id, name, permissions, created_us, "
            "changed_version) VALUES ('k', 'zz', 'acme', '', 'job:read', 0, 1);"
            "INSERT INTO session VALUES ('zz', 's', 'ann', 0, 9, NULL, 1)");
    EXPECT_EQ(store->keys().active(0).error().code, ErrorCode::kDataLoss);
    EXPECT_EQ(store->sessions().active(0).error().code, ErrorCode::kDataLoss);
}

}  // namespace
}  // namespace export_worker::auth
