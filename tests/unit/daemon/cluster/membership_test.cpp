#include "daemon/cluster/membership.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <thread>

#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/postgres_clock.hpp"
#include "tests/unit/support/postgres_proxy.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::cluster {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

using postgres::Connection;

constexpr seconds kLease{10};
constexpr ChangeKind kAuth = ChangeKind::kAuth;

class MembershipTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        clock_.emplace(options_);
        proxy_.emplace(*server_);
        connection_ = connect();
    }
    std::unique_ptr<Membership> join(MembershipOptions options) {
        auto joined = Membership::join(std::move(options), *clock_);
        EXPECT_TRUE(joined) << joined.error().message;
        return joined ? std::move(*joined) : nullptr;
    }
    std::unique_ptr<Membership> join(const std::string& name, FileHashes hashes = {}) {
        return join({.database = options_,
                     .name = name,
                     .version = "1.2.3",
                     .file_hashes = std::move(hashes)});
    }
    // What it says to the database, and hears, goes through proxy_.
    std::unique_ptr<Membership> join_through_proxy(const std::string& name) {
        return join({.database = proxy_->through(options_), .name = name});
    }
    std::int64_t raise() {
        EXPECT_TRUE(connection_->begin(Connection::Access::kReadWrite));
        const auto version = raise_change(*connection_, kAuth);
        EXPECT_TRUE(connection_->commit());
        return *version;
    }
    static Instance find(Membership& membership, const std::string& name) {
        const auto members = membership.members();
        EXPECT_TRUE(members) << members.error().message;
        const auto found = std::ranges::find(*members, name, &Instance::name);
        EXPECT_NE(found, members->end()) << name;
        return found == members->end() ? Instance() : *found;
    }

    std::optional<testing::SchemaClock> clock_;
    std::optional<testing::PostgresProxy> proxy_;
    std::unique_ptr<Connection> connection_;
};

// A writer that waits until `version` is seen, on a thread.
class Waiting {
public:
    Waiting(Membership& membership, std::int64_t version)
        : thread_([this, &membership, version] {
              const auto waited = membership.wait_until_seen(kAuth, version);
              EXPECT_TRUE(waited) << waited.error().message;
              done_ = true;
          }) {}
    [[nodiscard]] bool is_done() const { return done_; }
    void join() { thread_.join(); }

private:
    std::atomic<bool> done_{false};
    std::jthread thread_;
};

TEST_F(MembershipTest, MembersKnowOfEachOther) {
    const auto a = join("a", {{"roles.ini", "ab"}});
    const auto b = join("b", {{"roles.ini", "cd"}});
    ASSERT_EQ(a->members()->size(), 2U);
    const Instance seen = find(*b, "a");
    EXPECT_EQ(seen.id, a->id());
    EXPECT_EQ(seen.version, "1.2.3");
    EXPECT_EQ(seen.started_us, clock_->unix_us());
    EXPECT_EQ(seen.lease_left, kLease);
    EXPECT_TRUE(seen.leads);
    EXPECT_FALSE(find(*b, "b").leads);
    EXPECT_EQ(seen.file_hashes, (FileHashes{{"roles.ini", "ab"}}));
    EXPECT_EQ(*a->differing_files(), std::vector<std::string>{"roles.ini"});
}

TEST_F(MembershipTest, ALeaseThatIsTooShortOrTooLongIsRefused) {
    for (const seconds length : {seconds(4), seconds(61)}) {
        const auto refused =
            Membership::join({.database = options_, .lease_length = length}, *clock_);
        ASSERT_FALSE(refused);
        EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    }
}

TEST_F(MembershipTest, TheThreadRenewsTheLease) {
    const auto a = join("a");
    for (int second = 0; second < 3; ++second) {
        clock_->advance(seconds(1));
        EXPECT_TRUE(testing::eventually([&] { return find(*a, "a").lease_left == kLease; }));
    }
    EXPECT_TRUE(a->is_current());
}

TEST_F(MembershipTest, AnotherLeadsAtOnceAfterACleanEnd) {
    auto a = join("a");
    const auto b = join("b");
    EXPECT_TRUE(a->is_leader());
    EXPECT_EQ(a->leader_term(), 1);
    EXPECT_FALSE(b->is_leader());
    EXPECT_EQ(b->leader_term(), 0);
    a.reset();
    ASSERT_TRUE(b->renew());
    EXPECT_TRUE(b->is_leader());
    EXPECT_EQ(b->leader_term(), 2);
}

// As a daemon that is stopped, or cut off.
TEST_F(MembershipTest, ALeaderThatIsSilentLeadsNoMoreBeforeAnotherDoes) {
    const auto silent = join_through_proxy("silent");
    const auto b = join("b");
    ASSERT_TRUE(silent->is_leader());
    proxy_->stop(true);
    clock_->advance(limits::kLeaderLength - limits::kLeaseMargin);
    EXPECT_FALSE(silent->is_leader());
    ASSERT_TRUE(b->renew());
    EXPECT_FALSE(b->is_leader());
    clock_->advance(limits::kLeaseMargin);
    ASSERT_TRUE(b->renew());
    EXPECT_TRUE(b->is_leader());
    EXPECT_EQ(b->leader_term(), 2);
    proxy_->stop(false);
    EXPECT_TRUE(testing::eventually([&] { return silent->is_current(); }));
    EXPECT_FALSE(silent->is_leader());
}

TEST_F(MembershipTest, ADaemonThatIsSilentTakesItselfForEndedBeforeOthersDo) {
    const auto silent = join_through_proxy("silent");
    const auto b = join("b");
    proxy_->stop(true);
    clock_->advance(kLease - limits::kLeaseMargin - milliseconds(1));
    EXPECT_TRUE(silent->is_current());
    clock_->advance(milliseconds(1));
    EXPECT_FALSE(silent->is_current());
    EXPECT_GT(find(*b, "silent").lease_left.count(), 0);
    const auto problems = silent->problems();
    EXPECT_TRUE(std::ranges::any_of(problems, [](const ClusterProblem& each) {
        return each.cause.find("lease") != std::string::npos;
    }));
    clock_->advance(limits::kLeaseMargin);
    EXPECT_EQ(find(*b, "silent").lease_left.count(), 0);
    proxy_->stop(false);
    EXPECT_TRUE(testing::eventually([&] { return silent->is_current(); }));
    EXPECT_EQ(find(*b, "silent").id, silent->id()) << "nobody has taken it for dead";
}

TEST_F(MembershipTest, ADaemonThatIsTakenForDeadEntersAgainUnderAnotherId) {
    const auto a = join("a");
    const std::string before = a->id();
    ASSERT_TRUE(connection_->change("DELETE FROM instance"));
    ASSERT_TRUE(a->renew());
    EXPECT_NE(a->id(), before);
    EXPECT_EQ(find(*a, "a").id, a->id());
    EXPECT_TRUE(a->is_current());
}

TEST_F(MembershipTest, AnEvictionEndsTheLeaseAndALivingDaemonEntersAgain) {
    const auto a = join("a");
    const auto b = join("b");
    const std::string before = a->id();
    ASSERT_TRUE(b->evict(before));
    EXPECT_EQ(find(*b, "a").lease_left.count(), 0);
    EXPECT_FALSE(find(*b, "a").leads);
    ASSERT_TRUE(b->renew());
    EXPECT_TRUE(b->is_leader());
    ASSERT_TRUE(a->renew());
    EXPECT_NE(a->id(), before);
    EXPECT_FALSE(a->is_leader());
    const auto unknown = b->evict("nobody");
    ASSERT_FALSE(unknown);
    EXPECT_EQ(unknown.error().code, ErrorCode::kNotFound);
}

TEST_F(MembershipTest, AVersionIsRaisedWithItsTransaction) {
    const auto a = join("a");
    ASSERT_TRUE(connection_->begin(Connection::Access::kReadWrite));
    EXPECT_EQ(*raise_change(*connection_, kAuth), 1);
    ASSERT_TRUE(a->renew());
    EXPECT_EQ(a->newest(kAuth).version, 0);
    connection_->rollback();
    EXPECT_EQ(raise(), 1);
    EXPECT_EQ(raise(), 2);
    ASSERT_TRUE(a->renew());
    EXPECT_EQ(a->newest(kAuth).version, 2);
    EXPECT_EQ(a->newest(ChangeKind::kFile).version, 0);
    EXPECT_EQ(*read_version(*connection_, kAuth), 2);
}

TEST_F(MembershipTest, AWriterWaitsUntilAllHaveSeenItsVersion) {
    const auto a = join("a");
    const auto b = join("b");
    const std::int64_t version = raise();
    Waiting writer(*a, version);
    a->report_seen(kAuth, {version, 0});
    ASSERT_TRUE(a->renew());
    EXPECT_FALSE(a->wait_until_seen(kAuth, version, clock_->steady()))
        << "the other one has not seen it";
    EXPECT_FALSE(writer.is_done());
    b->report_seen(kAuth, {version, 0});
    writer.join();
    EXPECT_EQ(find(*a, "b").seen_auth, version);
}

TEST_F(MembershipTest, AWriterWaitsForItsOwnMemory) {
    const auto a = join("a");
    const std::int64_t version = raise();
    Waiting writer(*a, version);
    const auto late = a->wait_until_seen(kAuth, version, clock_->steady());
    ASSERT_FALSE(late);
    EXPECT_EQ(late.error().code, ErrorCode::kDeadlineExceeded);
    EXPECT_FALSE(writer.is_done());
    a->report_seen(kAuth, {version, 0});
    writer.join();
}

TEST_F(MembershipTest, AWriterWaitsForASilentDaemonUntilThatAnswersNoMore) {
    const auto silent = join_through_proxy("silent");
    const auto a = join("a");
    silent->report_seen(kAuth, {0, 0});
    ASSERT_TRUE(silent->renew());
    EXPECT_TRUE(silent->is_up_to_date(kAuth));
    proxy_->stop(true);
    const std::int64_t version = raise();
    a->report_seen(kAuth, {version, 0});
    Waiting writer(*a, version);
    clock_->advance(kLease - limits::kLeaseMargin);
    EXPECT_FALSE(silent->is_up_to_date(kAuth));
    EXPECT_FALSE(a->wait_until_seen(kAuth, version, clock_->steady()));
    EXPECT_FALSE(writer.is_done());
    clock_->advance(limits::kLeaseMargin);
    writer.join();
    // It comes back, and has to take the change over first.
    proxy_->stop(false);
    EXPECT_TRUE(testing::eventually([&] { return silent->newest(kAuth).version == version; }));
    EXPECT_TRUE(silent->is_current());
    EXPECT_FALSE(silent->is_up_to_date(kAuth));
    silent->report_seen(kAuth, silent->newest(kAuth));
    EXPECT_TRUE(silent->is_up_to_date(kAuth));
}

TEST_F(MembershipTest, AWriterWaitsForADaemonThatDoesNotKnowOfItsEvictionYet) {
    const auto silent = join_through_proxy("silent");
    const auto a = join("a");
    proxy_->stop(true);
    ASSERT_TRUE(a->evict(silent->id()));
    const std::int64_t version = raise();
    a->report_seen(kAuth, {version, 0});
    Waiting writer(*a, version);
    EXPECT_FALSE(a->wait_until_seen(kAuth, version, clock_->steady()));
    EXPECT_FALSE(writer.is_done());
    clock_->advance(kLease);
    writer.join();
    proxy_->stop(false);
}

// It renews and does not take changes over: it answers no more, and so holds up no writer for ever.
TEST_F(MembershipTest, AWriterWaitsForALeaseAtMost) {
    const auto a = join("a");
    const auto stuck = join("stuck");
    stuck->report_seen(kAuth, {0, 0});
    const std::int64_t version = raise();
    a->report_seen(kAuth, {version, 0});
    Waiting writer(*a, version);
    for (int second = 0; second < 8; ++second) {
        clock_->advance(seconds(1));
        ASSERT_TRUE(stuck->renew());
        ASSERT_TRUE(a->renew());
    }
    EXPECT_TRUE(stuck->is_current());
    EXPECT_FALSE(stuck->is_up_to_date(kAuth));
    EXPECT_FALSE(writer.is_done());
    EXPECT_TRUE(testing::eventually([&] {
        clock_->advance(seconds(1));
        EXPECT_TRUE(stuck->renew());
        return writer.is_done();
    }));
    writer.join();
}

TEST_F(MembershipTest, TheClockIsComparedWithTheDatabases) {
    const auto a = join("a");
    EXPECT_EQ(a->clock_offset(), seconds(0));
    clock_->jump(seconds(3));
    ASSERT_TRUE(a->renew());
    EXPECT_EQ(a->clock_offset(), seconds(3));
    ASSERT_TRUE(a->renew());
    EXPECT_EQ(find(*a, "a").clock_offset, seconds(3));
    ASSERT_EQ(a->problems().size(), 1U);
    EXPECT_NE(a->problems().at(0).cause.find("3000 ms off"), std::string::npos);
    clock_->jump(seconds(-5));
    ASSERT_TRUE(a->renew());
    EXPECT_EQ(a->clock_offset(), seconds(-2));
    EXPECT_TRUE(a->problems().empty());
}

TEST_F(MembershipTest, WhatIsWrongWithTheDatabaseIsSeenOnTheLeaseThread) {
    const auto a = join("a");
    const auto content = join({.database = options_, .require_synchronous = false});
    EXPECT_TRUE(a->problems().empty()) << "not looked at yet";
    clock_->advance(seconds(1));
    EXPECT_TRUE(testing::eventually([&] { return a->problems().size() == 1; }));
    EXPECT_NE(a->problems().at(0).cause.find("synchronous_standby_names"), std::string::npos);
    EXPECT_TRUE(content->problems().empty());
}

TEST_F(MembershipTest, AnOrdinaryRoleIsEnough) {
    const std::string role = "worker_" + options_.connect.schema;
    ASSERT_TRUE(connection_->execute("CREATE ROLE " + role +
                                     " LOGIN; GRANT CREATE ON DATABASE "
                                     "postgres TO " +
                                     role));
    postgres::DatabaseOptions options = server_->new_schema();
    options.connect.conninfo.replace(options.connect.conninfo.find("user=postgres"), 13,
                                     "user=" + role);
    const auto made = Membership::join({.database = options, .name = "a"}, system_clock());
    ASSERT_TRUE(made) << made.error().message;
    EXPECT_TRUE((*made)->is_leader());
    EXPECT_EQ((*made)->members()->size(), 1U);
    auto connection = postgres::Connection::open(options.connect);
    ASSERT_TRUE(connection);
    EXPECT_TRUE(*may_read_timeline(**connection));
}

TEST_F(MembershipTest, ADaemonBehindAPoolerIsAMember) {
    postgres::DatabaseOptions pooled = options_;
    pooled.connect.pooler = postgres::Pooler::kTransaction;
    const auto a = join({.database = pooled, .name = "a"});
    ASSERT_TRUE(a->renew());
    EXPECT_TRUE(a->is_leader());
    EXPECT_EQ(a->members()->size(), 1U);
    a->report_seen(kAuth, {0, 0});
    EXPECT_TRUE(a->wait_until_seen(kAuth, 0));
}

}  // namespace
}  // namespace export_worker::cluster
