#include "daemon/server/call_table.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::server {
namespace {

using std::chrono::milliseconds;

class CallTableTest : public ::testing::Test {
protected:
    // The next slot with a request of this size; whether there is room for it is not looked at.
    Call& receive(std::size_t peer_class, std::size_t body_bytes = 1) {
        Call& call = table_.next_slot();
        call.peer_class = peer_class;
        call.body.assign(body_bytes, 'x');
        call.answered = false;
        call.commits = false;
        call.deadline = clock_.steady() + milliseconds(100);
        return call;
    }
    Call& occupy(std::size_t peer_class, std::size_t body_bytes = 1) {
        Call& call = receive(peer_class, body_bytes);
        table_.occupy(call);
        return call;
    }
    Call& queue(std::size_t peer_class = 0) {
        Call& call = occupy(peer_class);
        call.progress.queue();
        return call;
    }
    Call& run() {
        Call& call = queue();
        EXPECT_TRUE(call.progress.try_start(clock_.steady()));
        return call;
    }
    std::vector<Call*> overdue() {
        const auto calls = table_.overdue(clock_.steady());
        return {calls.begin(), calls.end()};
    }

    testing::FakeClock clock_;
    CallTable table_;
};

TEST_F(CallTableTest, AnAdmittedCallIsOccupiedUntilItsRelease) {
    Call& first = occupy(1);
    const Call& second = occupy(1);
    EXPECT_NE(&first, &second);
    EXPECT_EQ(table_.occupied(), 2U);
    table_.release(first);
    EXPECT_EQ(table_.occupied(), 1U);
    EXPECT_EQ(&table_.next_slot(), &first) << "slots are reused";
}

TEST_F(CallTableTest, OneClassLeavesSlotsForOthers) {
    while (table_.has_slot_for(receive(1))) occupy(1);
    EXPECT_EQ(table_.occupied(), limits::kPeerCallsMax);
    EXPECT_TRUE(table_.has_slot_for(receive(2)));
    while (table_.has_slot_for(receive(2))) occupy(2);
    EXPECT_EQ(table_.occupied(), limits::kPeerCallsMax + limits::kPeerCallsMax / 2);
    EXPECT_TRUE(table_.has_slot_for(receive(3)));
}

TEST_F(CallTableTest, AFullTableStillReceivesWhatItRefuses) {
    std::vector<Call*> calls;
    for (std::size_t index = 0; index < limits::kCallsMax; ++index)
        calls.push_back(&occupy(index % limits::kPeerClasses));
    Call& refused = receive(1);
    EXPECT_FALSE(table_.has_slot_for(refused));
    EXPECT_EQ(std::ranges::count(calls, &refused), 0) << "no slot that is taken";
    table_.release(*calls[1]);
    EXPECT_EQ(&table_.next_slot(), calls[1]);
}

TEST_F(CallTableTest, RequestsShareABudgetOfBytes) {
    constexpr std::size_t kLargeBytes = limits::kCallsBytesMax / 4;
    std::vector<Call*> calls;
    for (std::size_t index = 0; index < 4; ++index) {
        EXPECT_TRUE(table_.has_bytes_for(receive(index, kLargeBytes)));
        calls.push_back(&occupy(index, kLargeBytes));
    }
    EXPECT_FALSE(table_.has_bytes_for(receive(5, 1)));
    table_.release(*calls[0]);
    EXPECT_TRUE(table_.has_bytes_for(receive(5, kLargeBytes)));
    EXPECT_FALSE(table_.has_bytes_for(receive(5, kLargeBytes + 1)));
}

TEST_F(CallTableTest, LargeBuffersAreGivenBack) {
    Call& call = occupy(1, limits::kCallBufferKeptBytesMax + 1);
    call.reply.assign(limits::kCallBufferKeptBytesMax + 1, 'y');
    table_.release(call);
    EXPECT_LE(call.body.capacity(), limits::kCallBufferKeptBytesMax);
    EXPECT_LE(call.reply.capacity(), limits::kCallBufferKeptBytesMax);
    Call& small = occupy(1, limits::kCallBufferKeptBytesMax);
    table_.release(small);
    EXPECT_EQ(small.body.capacity(), limits::kCallBufferKeptBytesMax);
}

TEST_F(CallTableTest, PendingCallsAreOverdueFromTheirDeadlineOn) {
    Call& queued = queue();
    clock_.advance(milliseconds(50));
    Call& running = run();
    clock_.advance(milliseconds(49));
    EXPECT_TRUE(overdue().empty());
    clock_.advance(milliseconds(1));
    EXPECT_EQ(overdue(), std::vector<Call*>{&queued});
    clock_.advance(milliseconds(50));
    EXPECT_EQ(overdue().size(), 2U);
    running.answered = true;
    EXPECT_EQ(overdue(), std::vector<Call*>{&queued});
    EXPECT_TRUE(queued.progress.try_expire());
    EXPECT_TRUE(overdue().empty());
}

TEST_F(CallTableTest, FreeSlotsAreNeverOverdue) {
    Call& call = run();
    table_.release(call);
    clock_.advance(milliseconds(1000));
    EXPECT_TRUE(overdue().empty());
}

TEST_F(CallTableTest, ACallIsStartedOrExpiredButNeverBoth) {
    Call& expired = queue();
    EXPECT_TRUE(expired.progress.try_expire());
    EXPECT_FALSE(expired.progress.try_start(clock_.steady()));
    Call& started = queue();
    EXPECT_TRUE(started.progress.try_start(clock_.steady()));
    EXPECT_EQ(started.progress.started(), clock_.steady());
    EXPECT_FALSE(started.progress.try_expire());
}

TEST_F(CallTableTest, OnlyWorkersStall) {
    Call& stuck = run();
    run().commits = true;
    queue();
    clock_.advance(limits::kWorkerStall);
    EXPECT_TRUE(table_.stalled(clock_.steady()).empty());
    clock_.advance(milliseconds(1));
    run();
    ASSERT_EQ(table_.stalled(clock_.steady()).size(), 1U);
    EXPECT_EQ(table_.stalled(clock_.steady())[0], &stuck);
    table_.release(stuck);
    EXPECT_TRUE(table_.stalled(clock_.steady()).empty());
}

}  // namespace
}  // namespace export_worker::server
