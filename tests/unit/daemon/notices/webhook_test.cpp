#include "daemon/notices/webhook.hpp"

#include <gtest/gtest.h>

#include "tests/unit/support/http_server.hpp"

namespace export_worker::notices {
namespace {

constexpr std::string_view kSecret = "a webhook secret of enough bytes";
constexpr std::string_view kBody = R"({"type":"job.completed"})";

// As Python's hmac module has it.
TEST(Webhook, SignsTimeAndBody) {
    EXPECT_EQ(webhook_signature(kSecret, 1'700'000'000, kBody),
              "t=1700000000,v1="
              "b3ab6423242ae9eb0006d557a0e13745c491e74a2352b642b60e6f9a0e880e38");
    EXPECT_NE(webhook_signature(kSecret, 1'700'000'001, kBody),
              webhook_signature(kSecret, 1'700'000'000, kBody));
}

WebhookAnswer send(const std::string& url, bool allow_private) {
    http::HttpClient client;
    return send_webhook(client, {"acme", url, "/unused", allow_private}, kSecret, 1'700'000'000,
                        "event-1", kBody);
}

TEST(Webhook, AnswersDecideWhatComesNext) {
    for (const auto& [status, outcome] :
         {std::pair(200, WebhookOutcome::kTaken), std::pair(204, WebhookOutcome::kTaken),
          std::pair(302, WebhookOutcome::kRetry), std::pair(400, WebhookOutcome::kRetry),
          std::pair(410, WebhookOutcome::kRefused), std::pair(503, WebhookOutcome::kRetry)}) {
        testing::HttpServer server([status = status](const testing::HttpServer::Request&) {
            return testing::HttpServer::Response{
                .status = status, .body = "", .headers = {{"Location", "http://127.0.0.1:1/"}}};
        });
        const WebhookAnswer answer = send(server.url() + "/hook", true);
        EXPECT_EQ(answer.outcome, outcome) << status;
        EXPECT_EQ(answer.text, std::to_string(status));
        ASSERT_EQ(server.requests().size(), 1U);
        const auto request = server.requests().front();
        EXPECT_EQ(request.method, "POST");
        EXPECT_EQ(request.body, kBody);
        EXPECT_EQ(request.headers.at("content-type"), "application/json");
        EXPECT_EQ(request.headers.at("export-worker-event"), "event-1");
        EXPECT_EQ(request.headers.at("export-worker-signature"),
                  webhook_signature(kSecret, 1'700'000'000, kBody));
    }
}

TEST(Webhook, ReachesPrivateAddressesOnlyWhereThatIsAllowed) {
    testing::HttpServer server(
        [](const testing::HttpServer::Request&) { return testing::HttpServer::Response{}; });
    const WebhookAnswer refused = send(server.url(), false);
    EXPECT_EQ(refused.outcome, WebhookOutcome::kRefused);
    EXPECT_TRUE(server.requests().empty());
    EXPECT_EQ(send("not a url", true).outcome, WebhookOutcome::kRefused);
}

TEST(Webhook, AnAnswerThatDoesNotEndIsNotReadToItsEnd) {
    for (const auto& [bytes, outcome] : {std::pair(64 * 1024, WebhookOutcome::kTaken),
                                         std::pair(64 * 1024 + 1, WebhookOutcome::kRetry)}) {
        testing::HttpServer server([bytes = bytes](const testing::HttpServer::Request&) {
            return testing::HttpServer::Response{
                200, std::string(static_cast<std::size_t>(bytes), 'x'), {}};
        });
        EXPECT_EQ(send(server.url(), true).outcome, outcome) << bytes;
    }
}

TEST(Webhook, NobodyThereIsTriedAgain) {
    std::string url;
    {
        testing::HttpServer gone(
            [](const testing::HttpServer::Request&) { return testing::HttpServer::Response{}; });
        url = gone.url();
    }
    EXPECT_EQ(send(url, true).outcome, WebhookOutcome::kRetry);
}

}  // namespace
}  // namespace export_worker::notices
