// What every job store owes about notices on their way to webhooks.
#pragma once

#include <algorithm>
#include <array>

#include "daemon/jobs/limits.hpp"
#include "tests/unit/daemon/jobs/job_store_fixture.hpp"

namespace export_worker::jobs {

TEST_P(JobStoreConformance, AnOrganizationsNoticesAreDeliveredOneAfterTheOther) {
    const auto first = end_one("acme");
    const auto second = end_one("acme");
    const auto other = end_one("umbrella");
    auto taken = take_notices();
    ASSERT_EQ(taken.size(), 2U) << "one of each organization";
    EXPECT_EQ(taken[0].job_id, first);
    EXPECT_EQ(taken[1].job_id, other);
    EXPECT_TRUE(take_notices().empty()) << "until the first one's delivery has ended";
    ASSERT_TRUE(
        store_->outbox().mark_delivery(taken[0].sequence, Outbox::Delivery::kDone, "200", 0));
    taken = take_notices();
    ASSERT_EQ(taken.size(), 1U);
    EXPECT_EQ(taken[0].job_id, second);
}

TEST_P(JobStoreConformance, ANoticeThatWaitsForItsNextTryHoldsUpNoOther) {
    const auto first = end_one("acme");
    const auto second = end_one("acme");
    const auto taken = take_notices();
    ASSERT_EQ(taken.at(0).job_id, first);
    ASSERT_TRUE(store_->outbox().mark_delivery(taken[0].sequence, Outbox::Delivery::kRetry, "503",
                                               5'000'000));
    const auto next = take_notices();
    ASSERT_EQ(next.at(0).job_id, second);
    clock_.advance(std::chrono::seconds(5));
    EXPECT_TRUE(take_notices().empty()) << "due again, and another one is on its way";
    ASSERT_TRUE(
        store_->outbox().mark_delivery(next[0].sequence, Outbox::Delivery::kGivenUp, "410", 0));
    const auto again = take_notices();
    ASSERT_EQ(again.at(0).job_id, first);
    EXPECT_EQ(again[0].attempts, 1);
    EXPECT_EQ(again[0].event_id, taken[0].event_id);
}

TEST_P(JobStoreConformance, TheLongestDueOrganizationsComeFirst) {
    std::vector<std::string> ids;
    for (const char* organization : {"c", "a", "b"}) {
        ids.push_back(end_one(organization));
        clock_.advance(std::chrono::seconds(1));
    }
    const auto two = take_notices(2);
    ASSERT_EQ(two.size(), 2U);
    EXPECT_EQ(two[0].job_id, ids[0]);
    EXPECT_EQ(two[1].job_id, ids[1]);
    EXPECT_EQ(take_notices().at(0).job_id, ids[2]);
}

TEST_P(JobStoreConformance, ADeliveryWithoutAnEndIsTakenAgainAfterItsTime) {
    end_one("acme");
    const auto taken = take_notices();
    ASSERT_EQ(taken.size(), 1U);
    clock_.advance(limits::kDeliveryLease - std::chrono::seconds(1));
    EXPECT_TRUE(take_notices().empty());
    clock_.advance(std::chrono::seconds(1));
    const auto again = take_notices();
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].event_id, taken[0].event_id);
    EXPECT_EQ(again[0].attempts, 0);
    ASSERT_TRUE(
        store_->outbox().mark_delivery(again[0].sequence, Outbox::Delivery::kDone, "200", 0));
    EXPECT_EQ(store_->outbox()
                  .mark_delivery(taken[0].sequence, Outbox::Delivery::kRetry, "timeout", 0)
                  .error()
                  .code,
              ErrorCode::kConflict)
        << "the late end of the first delivery";
    EXPECT_EQ(store_->reader().counts()->notices_pending, 0);
}

TEST_P(JobStoreConformance, ANoticeThatIsPutBackIsDueAsBefore) {
    end_one("acme");
    const auto taken = take_notices();
    ASSERT_TRUE(
        store_->outbox().mark_delivery(taken.at(0).sequence, Outbox::Delivery::kPutBack, "", 0));
    const auto again = take_notices();
    ASSERT_EQ(again.size(), 1U);
    EXPECT_EQ(again[0].attempts, 0);
}

TEST_P(JobStoreConformance, NoticesWithoutAReceiverAreDone) {
    for (const char* organization : {"a", "acme", "umbrella", "z"}) end_one(organization);
    for (int count = 0; count < 3; ++count) end_one("z");
    const std::array<std::string, 2> receivers{"acme", "umbrella"};
    EXPECT_EQ(*store_->outbox().skip_deliveries(receivers), 5U);
    EXPECT_EQ(*store_->outbox().skip_deliveries(receivers), 0U);
    EXPECT_EQ(store_->reader().counts()->notices_pending, 2);
    EXPECT_EQ(take_notices().size(), 2U);
    EXPECT_EQ(*store_->outbox().skip_deliveries({}), 2U);
    EXPECT_EQ(store_->reader().notices(OrganizationScope::every(), 0)->items.size(), 7U)
        << "jobs.notices has them";
}

TEST_P(JobStoreConformance, WhatWasNotTakenHasNoEnd) {
    end_one("acme");
    for (const std::int64_t sequence : {store_->outbox().unpublished_notices()->at(0).sequence,
                                        std::int64_t{0}, std::int64_t{99}, std::int64_t{-1}}) {
        EXPECT_EQ(store_->outbox()
                      .mark_delivery(sequence, Outbox::Delivery::kDone, "200", 0)
                      .error()
                      .code,
                  ErrorCode::kConflict)
            << sequence;
    }
    EXPECT_EQ(take_notices().size(), 1U);
}

}  // namespace export_worker::jobs
