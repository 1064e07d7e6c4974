#include "daemon/server/plugin_admission.hpp"

#include <gtest/gtest.h>

#include "daemon/server/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::server {
namespace {

using State = PluginAdmission::State;
using std::chrono::milliseconds;

constexpr unsigned kWorkers = 2;

class PluginAdmissionTest : public ::testing::Test {
protected:
    bool enter(std::uint64_t generation = 1) {
        return admission_.try_enter(generation, clock_.steady());
    }
    // Enters as many as it may, at most `count_max`.
    std::size_t fill(std::size_t count_max) {
        std::size_t count = 0;
        while (count < count_max && enter()) ++count;
        return count;
    }
    State review(StalledCounts counts = {}, unsigned free_workers = kWorkers) {
        admission_.review(counts, free_workers, clock_.steady());
        return admission_.state();
    }
    // `stuck` requests inside, and one more that gets no answer.
    void hang(unsigned stuck) {
        fill(stuck + 1);
        ASSERT_EQ(review({stuck, stuck}), State::kOpen);
        clock_.advance(limits::kWorkerStall + milliseconds(1));
        ASSERT_EQ(review({stuck, stuck}), State::kHung);
    }

    testing::FakeClock clock_;
    PluginAdmission admission_;
};

TEST_F(PluginAdmissionTest, APluginThatAnswersHasNoLimit) {
    EXPECT_EQ(fill(limits::kCallsMax), limits::kCallsMax);
    for (int round = 0; round < 100; ++round) {
        clock_.advance(limits::kPluginSilence);
        admission_.answer(clock_.steady());
        EXPECT_EQ(review(), State::kOpen);
    }
}

TEST_F(PluginAdmissionTest, ASilentPluginKeepsFewerRequestsUntilItAnswers) {
    fill(limits::kPeerCallsMax);
    clock_.advance(limits::kPluginSilence + milliseconds(1));
    EXPECT_EQ(review(), State::kSilent);
    EXPECT_FALSE(enter());
    for (std::size_t left = limits::kPeerCallsMax; left > limits::kSilentPluginCallsMax; --left) {
        ASSERT_TRUE(admission_.has_too_many());
        admission_.leave();
    }
    EXPECT_FALSE(admission_.has_too_many());
    EXPECT_FALSE(enter());
    admission_.answer(clock_.steady());
    EXPECT_EQ(fill(limits::kPeerCallsMax), limits::kPeerCallsMax);
}

TEST_F(PluginAdmissionTest, NobodyWaitsForAPluginWithoutRequests) {
    clock_.advance(milliseconds(60'000));
    EXPECT_EQ(review(), State::kOpen);
    ASSERT_TRUE(enter());
    EXPECT_EQ(review(), State::kOpen) << "silent since the request came";
    clock_.advance(limits::kPluginSilence + milliseconds(1));
    EXPECT_EQ(review(), State::kSilent);
}

TEST_F(PluginAdmissionTest, StuckRequestsAloneDoNotSayThatThePluginHangs) {
    fill(3);
    for (int round = 0; round < 5; ++round) {
        clock_.advance(limits::kWorkerStall + milliseconds(1));
        EXPECT_EQ(review({3, 3}), State::kOpen);
    }
    ASSERT_TRUE(enter());
    EXPECT_EQ(review({3, 3}), State::kOpen) << "the new request has just come";
}

TEST_F(PluginAdmissionTest, ASlowPluginDoesNotHang) {
    fill(10);
    clock_.advance(limits::kWorkerStall + milliseconds(1));
    EXPECT_EQ(review({4, 0}), State::kSilent) << "no request is past its deadline";
}

TEST_F(PluginAdmissionTest, AHungPluginGetsWhatItsFreeWorkersCanTry) {
    hang(3);
    EXPECT_FALSE(admission_.has_too_many());
    EXPECT_TRUE(enter());
    EXPECT_FALSE(enter());
    // These hang, too.
    EXPECT_EQ(review({5, 3}), State::kHung);
    EXPECT_EQ(fill(10), kWorkers);
    admission_.answer(clock_.steady());
    EXPECT_EQ(admission_.state(), State::kOpen);
    EXPECT_EQ(fill(10), 10U);
}

TEST_F(PluginAdmissionTest, APluginWithoutFreeWorkersHangs) {
    fill(40);
    clock_.advance(limits::kWorkerStall + milliseconds(1));
    EXPECT_EQ(review({34, 0}, 0), State::kHung);
    EXPECT_FALSE(enter());
}

TEST_F(PluginAdmissionTest, TooManyStuckRequestsCloseAPluginUntilTheyReturn) {
    fill(limits::kPluginStuckMax);
    EXPECT_EQ(review({limits::kPluginStuckMax, limits::kPluginStuckMax}), State::kStuck);
    EXPECT_FALSE(enter());
    admission_.answer(clock_.steady());
    EXPECT_EQ(review({limits::kPluginStuckMax - 1, limits::kPluginStuckMax - 1}), State::kOpen);
    EXPECT_TRUE(enter());
}

TEST_F(PluginAdmissionTest, AnotherGenerationBeginsAnew) {
    fill(limits::kPluginStuckMax);
    ASSERT_EQ(review({limits::kPluginStuckMax, limits::kPluginStuckMax}), State::kStuck);
    EXPECT_FALSE(enter(1));
    EXPECT_TRUE(enter(2));
    EXPECT_EQ(admission_.generation(), 2U);
    EXPECT_EQ(review({limits::kPluginStuckMax, 0}), State::kOpen);
}

}  // namespace
}  // namespace export_worker::server
