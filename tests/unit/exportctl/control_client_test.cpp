#include "exportctl/control_client.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "base/json.hpp"
#include "protocol/transport/server_socket.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::exportctl {
namespace {

using message::WireCode;

class ControlClientTest : public ::testing::Test {
protected:
    const testing::TempDir dir_;
    const std::string endpoint_ = "ipc://" + (dir_ / "control.sock");
    const Context context_{dir_.write("c.ini", "[daemon]\ncontrol_endpoint = " + endpoint_ + "\n")};
};

TEST_F(ControlClientTest, ADaemonThatGoesAwayBeforeItAnswersIsNamed) {
    auto daemon = transport::ServerSocket::open(endpoint_, 0600);
    ASSERT_TRUE(daemon) << daemon.error().message;
    std::thread dying([socket = std::move(*daemon)]() mutable {
        transport::Envelope envelope;
        std::string body;
        while (socket.receive(envelope, body) != transport::ReceiveOutcome::kRequest)
            socket.wait(std::chrono::milliseconds(20), -1);
        const transport::ServerSocket gone = std::move(socket);
    });
    auto client = ControlClient::open(context_);
    const auto answer = client ? client->call("control.status", nlohmann::json::object())
                               : tl::unexpected(message::make_error(WireCode::kInternal, "away"));
    dying.join();
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, WireCode::kPluginUnavailable);
    EXPECT_TRUE(answer.error().message.starts_with("the daemon went away before it answered"))
        << answer.error().message;
}

TEST_F(ControlClientTest, ADaemonThatDoesNotAnswerInTimeIsNamed) {
    const auto daemon = transport::ServerSocket::open(endpoint_, 0600);
    ASSERT_TRUE(daemon) << daemon.error().message;
    auto client = ControlClient::open(context_);
    ASSERT_TRUE(client);
    const auto answer =
        client->call("control.status", nlohmann::json::object(), {}, std::chrono::seconds(0));
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, WireCode::kDeadlineExceeded);
    EXPECT_EQ(answer.error().message, "the daemon did not answer in time");
}

}  // namespace
}  // namespace export_worker::exportctl
