#include "daemon/server/reply_outbox.hpp"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <vector>

#include "daemon/server/limits.hpp"
#include "protocol/transport/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::server {
namespace {

using std::chrono::milliseconds;
using transport::Envelope;
using transport::SendOutcome;

Envelope envelope_of(const std::string& peer) {
    Envelope out;
    out.bytes = peer;
    out.frame_bytes[0] = static_cast<std::uint16_t>(peer.size());
    out.frames = 1;
    return out;
}

class ReplyOutboxTest : public ::testing::Test {
protected:
    bool add(const std::string& peer, std::string_view reply, bool is_result = true) {
        return outbox_.add(envelope_of(peer), reply, is_result, clock_.steady());
    }
    // `outcomes_` by peer, kSent for others.
    ReplyOutbox::Retried retry(std::size_t count_max = 100) {
        return outbox_.retry(
            count_max, clock_.steady(), [this](const Envelope& envelope, std::string_view reply) {
                tried_.emplace_back(reply);
                const auto outcome = outcomes_.find(std::string(envelope.peer()));
                return outcome == outcomes_.end() ? SendOutcome::kSent : outcome->second;
            });
    }

    testing::FakeClock clock_;
    ReplyOutbox outbox_;
    std::map<std::string, SendOutcome> outcomes_;
    std::vector<std::string> tried_;
};

TEST_F(ReplyOutboxTest, RepliesToOnePeerKeepTheirOrder) {
    ASSERT_TRUE(add("a", "one"));
    ASSERT_TRUE(add("b", "three"));
    ASSERT_TRUE(add("a", "two", false));
    EXPECT_TRUE(outbox_.holds(envelope_of("a")));
    const auto first = retry(2);
    EXPECT_FALSE(outbox_.holds(envelope_of("a")));
    EXPECT_TRUE(outbox_.holds(envelope_of("b")));
    EXPECT_EQ(tried_, (std::vector<std::string>{"one", "two"}));
    EXPECT_EQ(first.results_sent, 1U);
    EXPECT_EQ(first.errors_sent, 1U);
    EXPECT_EQ(outbox_.size(), 1U);
    EXPECT_EQ(retry().results_sent, 1U);
    EXPECT_EQ(outbox_.size(), 0U);
    EXPECT_EQ(retry().results_sent, 0U) << "each is sent once";
}

TEST_F(ReplyOutboxTest, ABusyPeerHoldsUpNoOther) {
    outcomes_["busy"] = SendOutcome::kBusy;
    ASSERT_TRUE(add("busy", "one"));
    ASSERT_TRUE(add("other", "two"));
    EXPECT_EQ(retry(1).results_sent, 0U);
    EXPECT_EQ(retry(1).results_sent, 1U) << "it goes to the end of the queue";
    EXPECT_EQ(tried_, (std::vector<std::string>{"one", "two"}));
}

// However much they send, and however few of them are tried in one turn.
TEST_F(ReplyOutboxTest, PeersThatDoNotReadLeaveRoomAndTurnsToOthers) {
    for (const char* peer : {"a", "b", "c", "d"}) {
        outcomes_[peer] = SendOutcome::kBusy;
        while (add(peer, "x")) {
        }
    }
    ASSERT_GT(outbox_.size(), limits::kUnsentRepliesMax * 3 / 4);
    for (int count = 0; count < 500; ++count) ASSERT_TRUE(add("reader", "answer"));
    EXPECT_EQ(retry(4 + 500).results_sent, 500U);
}

TEST_F(ReplyOutboxTest, ABusyPeersReplyIsGivenUpInTheEnd) {
    outcomes_["busy"] = SendOutcome::kBusy;
    ASSERT_TRUE(add("busy", "one"));
    clock_.advance(milliseconds(1));
    ASSERT_TRUE(add("busy", "two"));
    clock_.advance(limits::kSocketLinger - milliseconds(2));
    EXPECT_EQ(retry().given_up, 0U);
    clock_.advance(milliseconds(1));
    EXPECT_EQ(retry().given_up, 1U) << "retries do not extend the time";
    clock_.advance(milliseconds(1));
    outcomes_.clear();
    EXPECT_EQ(retry().results_sent, 1U) << "even at the last moment";
}

TEST_F(ReplyOutboxTest, RepliesOfAPeerThatIsGoneAreGivenUpAtOnce) {
    outcomes_["gone"] = SendOutcome::kPeerGone;
    ASSERT_TRUE(add("gone", "one"));
    ASSERT_TRUE(add("gone", "two", false));
    ASSERT_TRUE(add("here", "three"));
    const auto retried = retry();
    EXPECT_EQ(retried.given_up, 2U);
    EXPECT_EQ(retried.results_sent, 1U);
    EXPECT_EQ(outbox_.size(), 0U);
}

TEST_F(ReplyOutboxTest, TheNumberOfRepliesIsBounded) {
    for (std::size_t index = 0; index < limits::kUnsentRepliesMax; ++index)
        ASSERT_TRUE(add("peer " + std::to_string(index), "x"));
    EXPECT_FALSE(add("another", "x"));
    EXPECT_EQ(retry(1).results_sent, 1U);
    EXPECT_TRUE(add("another", "x"));
}

TEST_F(ReplyOutboxTest, TheirBytesAreBounded) {
    const std::string large(limits::kUnsentBytesMax / 2, 'x');
    for (std::size_t index = 0; index < 2; ++index)
        ASSERT_TRUE(add("peer " + std::to_string(index), large));
    EXPECT_FALSE(add("another", "x"));
    EXPECT_EQ(retry(1).results_sent, 1U);
    EXPECT_TRUE(add("another", large));
}

TEST_F(ReplyOutboxTest, OnePeerCannotUseUpTheBytesOfAll) {
    const std::string half(limits::kUnsentBytesMax / 4, 'x');
    ASSERT_TRUE(add("slow", half));
    ASSERT_TRUE(add("slow", half));
    EXPECT_FALSE(add("slow", "x"));
    EXPECT_TRUE(add("other", "x"));
    EXPECT_EQ(retry(1).results_sent, 1U);
    EXPECT_TRUE(add("slow", "x"));
}

TEST_F(ReplyOutboxTest, ManySmallRepliesAreABacklogToo) {
    for (std::size_t count = 1; count < limits::kUnsentPeerWorkRepliesMax; ++count)
        ASSERT_TRUE(add("slow", "x"));
    EXPECT_FALSE(outbox_.is_backlogged(envelope_of("slow")));
    ASSERT_TRUE(add("slow", "x"));
    EXPECT_TRUE(outbox_.is_backlogged(envelope_of("slow")));
}

TEST_F(ReplyOutboxTest, APeerThatDoesNotReadIsBackloggedUntilItDoes) {
    ASSERT_TRUE(add("slow", std::string(limits::kUnsentPeerWorkBytesMax - 1, 'x')));
    EXPECT_FALSE(outbox_.is_backlogged(envelope_of("slow")));
    ASSERT_TRUE(add("slow", "x"));
    EXPECT_TRUE(outbox_.is_backlogged(envelope_of("slow")));
    EXPECT_FALSE(outbox_.is_backlogged(envelope_of("other")));
    outcomes_["slow"] = SendOutcome::kBusy;
    EXPECT_EQ(retry().results_sent, 0U);
    EXPECT_TRUE(outbox_.is_backlogged(envelope_of("slow")));
    outcomes_.clear();
    EXPECT_EQ(retry().results_sent, 2U);
    EXPECT_FALSE(outbox_.is_backlogged(envelope_of("slow")));
}

}  // namespace
}  // namespace export_worker::server
