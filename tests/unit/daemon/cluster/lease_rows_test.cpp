#include "daemon/cluster/lease_rows.hpp"

#include <gtest/gtest.h>

#include "daemon/cluster/cluster_schema.hpp"
#include "daemon/cluster/instances.hpp"
#include "daemon/cluster/limits.hpp"
#include "daemon/postgres/database.hpp"
#include "tests/unit/support/postgres_clock.hpp"
#include "tests/unit/support/postgres_server.hpp"

namespace export_worker::cluster {
namespace {

using std::chrono::seconds;

using postgres::Connection;

constexpr seconds kLength{10};

class LeaseRowsTest : public testing::PostgresTest {
protected:
    void SetUp() override {
        PostgresTest::SetUp();
        if (IsSkipped()) return;
        ASSERT_TRUE(postgres::Database::open(
            options_, {.component = "cluster", .steps = kClusterMigrations}));
        clock_.emplace(options_);
        connection_ = connect();
    }
    void enter(const std::string& id, const std::string& before = "") {
        ASSERT_TRUE(enter_life(
            *connection_, {.id = id, .before = before, .started_us = clock_->unix_us()}, kLength));
    }
    std::optional<Renewal> renew(const LeaseState& state) {
        auto renewal = renew_lease(*connection_, state, kLength);
        EXPECT_TRUE(renewal) << renewal.error().message;
        return renewal ? *renewal : std::nullopt;
    }
    std::int64_t unaware_of(std::int64_t version) {
        return count_unaware(*connection_, ChangeKind::kAuth, version, "me")->instances;
    }

    std::optional<testing::SchemaClock> clock_;
    std::unique_ptr<Connection> connection_;
};

TEST_F(LeaseRowsTest, ARenewalSaysWhatWasLeftOfTheLease) {
    enter("a");
    clock_->advance(seconds(3));
    EXPECT_EQ(renew({.id = "a"})->lease_left_us, 7'000'000);
    clock_->advance(seconds(12));
    EXPECT_EQ(renew({.id = "a"})->lease_left_us, -2'000'000) << "nobody has taken it for dead";
    EXPECT_EQ(renew({.id = "a"})->database_us, clock_->unix_us());
    EXPECT_FALSE(renew({.id = "unknown"}));
}

TEST_F(LeaseRowsTest, ALifeThatHasEndedIsNotRenewed) {
    enter("a");
    ASSERT_TRUE(end_life(*connection_, "a"));
    EXPECT_FALSE(renew({.id = "a"}));
    EXPECT_EQ(unaware_of(1), 0);
}

TEST_F(LeaseRowsTest, WhoLeadsRenewsItsTermAndWhoDoesNotTakesAFreeOne) {
    enter("a");
    enter("b");
    EXPECT_TRUE(renew({.id = "a"})->is_leader_free);
    EXPECT_EQ(*take_lead(*connection_, "a", kLength), 1);
    EXPECT_FALSE(*take_lead(*connection_, "b", kLength));
    EXPECT_EQ(renew({.id = "a"})->term, 1);
    EXPECT_FALSE(renew({.id = "b"})->term);
    EXPECT_FALSE(renew({.id = "b"})->is_leader_free);
    clock_->advance(limits::kLeaderLength);
    EXPECT_TRUE(renew({.id = "b"})->is_leader_free);
    EXPECT_EQ(*take_lead(*connection_, "b", kLength), 2);
    EXPECT_FALSE(renew({.id = "a"})->term);
}

TEST_F(LeaseRowsTest, ALeaderLeadsNoLongerThanItsLeaseLasts) {
    const seconds shorter = limits::kLeaderLength / 2;
    enter("a");
    enter("b");
    ASSERT_TRUE(*take_lead(*connection_, "a", shorter));
    ASSERT_TRUE(*renew_lease(*connection_, {.id = "a"}, shorter));
    clock_->advance(shorter);
    EXPECT_TRUE(renew({.id = "b"})->is_leader_free);
    EXPECT_EQ(leader_length(3 * limits::kLeaderLength), limits::kLeaderLength);
}

TEST_F(LeaseRowsTest, ALeaderThatIsTakenForDeadLeadsNoMore) {
    enter("a");
    ASSERT_TRUE(*take_lead(*connection_, "a", kLength));
    enter("b", "a");
    EXPECT_TRUE(renew({.id = "b"})->is_leader_free);
}

TEST_F(LeaseRowsTest, WhoMayAnswerAndHasNotSeenAVersionIsCounted) {
    enter("a");
    enter("me");
    EXPECT_EQ(unaware_of(1), 1);
    ASSERT_TRUE(renew({.id = "a", .seen = {1, 0}}));
    EXPECT_EQ(unaware_of(1), 0);
    EXPECT_EQ(unaware_of(2), 1);
    EXPECT_EQ(count_unaware(*connection_, ChangeKind::kFile, 1, "me")->longest, kLength);
    // Evicted, it does not know yet.
    ASSERT_TRUE(evict_instance(*connection_, "a"));
    EXPECT_EQ(unaware_of(2), 1);
    clock_->advance(kLength);
    EXPECT_EQ(unaware_of(2), 0);
}

TEST_F(LeaseRowsTest, ALifeThatGoesOnUnderAnotherIdIsWaitedForOnce) {
    enter("a");
    enter("b", "a");
    EXPECT_EQ(unaware_of(1), 1);
    ASSERT_TRUE(renew({.id = "b", .seen = {1, 1}}));
    EXPECT_EQ(unaware_of(1), 0);
}

TEST_F(LeaseRowsTest, WhatWasSeenOnAnotherTimelineCountsNoMore) {
    enter("a");
    const std::string timeline = renew({.id = "a", .reads_timeline = true})->timeline;
    EXPECT_EQ(timeline, "00000001");
    ASSERT_TRUE(renew({.id = "a", .seen = {5, 0}, .timeline = timeline, .reads_timeline = true}));
    EXPECT_EQ(unaware_of(5), 0);
    ASSERT_TRUE(renew({.id = "a", .seen = {5, 0}, .timeline = "00000000", .reads_timeline = true}));
    EXPECT_EQ(unaware_of(5), 1);
}

}  // namespace
}  // namespace export_worker::cluster
