#include "daemon/control/operator_calls.hpp"

#include <gtest/gtest.h>

#include <future>

#include "daemon/control/limits.hpp"
#include "protocol/message/reply.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/fake_clock.hpp"

namespace export_worker::control {
namespace {

using std::chrono::milliseconds;
using testing::eventually;

constexpr milliseconds kLong{30'000};

class OperatorCallsTest : public ::testing::Test {
protected:
    ~OperatorCallsTest() override {
        if (!is_released_) release();
        EXPECT_EQ(calls_.stop(kLong), 0U);
    }
    void release() {
        is_released_ = true;
        release_.set_value();
    }
    OperatorRequest request(std::string_view method, std::uint32_t deadline_ms = 1000) {
        message::Request wire;
        wire.id = "1";
        wire.method = method;
        wire.deadline_ms = deadline_ms;
        OperatorRequest out;
        out.body = message::encode_request(wire);
        out.began = clock_.steady();
        return out;
    }
    // "hang" returns once it is released, others at once.
    void run(const message::Request& request, std::string& reply) {
        if (request.method == "a.hang") released_.wait();
        message::encode_result(reply, request.id, "\x80", nullptr);
    }
    bool begins(OperatorRequest request) { return !calls_.begin(request); }

    testing::FakeClock clock_;
    WakeEvent finished_;
    std::promise<void> release_;
    const std::shared_future<void> released_{release_.get_future()};
    bool is_released_ = false;
    OperatorCalls calls_{[this](const message::Request& request, SteadyTime, std::string& reply) {
                             run(request, reply);
                         },
                         clock_, finished_};
};

TEST_F(OperatorCallsTest, AnAnswerIsTakenOnce) {
    ASSERT_TRUE(begins(request("a.do")));
    std::vector<OperatorRequest> answered;
    ASSERT_TRUE(eventually([&] { return !(answered = calls_.take_answered()).empty(); }));
    EXPECT_TRUE(message::decode_reply(answered.at(0).reply)->ok);
    EXPECT_TRUE(calls_.take_answered().empty());
}

TEST_F(OperatorCallsTest, OneThatHangsHoldsUpNoOtherAndEndsAtItsDeadline) {
    ASSERT_TRUE(begins(request("a.hang", 1000)));
    ASSERT_TRUE(begins(request("a.do")));
    ASSERT_TRUE(eventually([&] { return calls_.take_answered().size() == 1; }));
    EXPECT_LE(calls_.wait_timeout(kLong), milliseconds(1000));
    clock_.advance(milliseconds(1000));
    const auto late = calls_.take_answered();
    ASSERT_EQ(late.size(), 1U);
    const auto reply = message::decode_reply(late[0].reply);
    EXPECT_EQ(reply->id, "1");
    EXPECT_EQ(reply->error.code, message::WireCode::kDeadlineExceeded);
    EXPECT_EQ(calls_.stop(milliseconds(1)), 1U) << "its thread goes on";
    release();
    EXPECT_EQ(calls_.stop(kLong), 0U);
    EXPECT_TRUE(calls_.take_answered().empty());
}

TEST_F(OperatorCallsTest, AreBounded) {
    for (unsigned count = 0; count < limits::kOperatorCallsMax; ++count)
        ASSERT_TRUE(begins(request("a.hang")));
    OperatorRequest more = request("a.do");
    const auto refused = calls_.begin(more);
    ASSERT_TRUE(refused);
    EXPECT_EQ(refused->code, message::WireCode::kOverloaded);
    EXPECT_FALSE(more.body.empty()) << "it is the caller's";
    release();
    EXPECT_TRUE(eventually([&] { return begins(request("a.do")); }));
}

TEST_F(OperatorCallsTest, ADeadlineThatHasPassedIsExpired) {
    OperatorRequest late = request("a.do", 0);
    EXPECT_EQ(calls_.begin(late)->code, message::WireCode::kExpired);
}

}  // namespace
}  // namespace export_worker::control
