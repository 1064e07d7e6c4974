// One notice to one organization's webhook.
//
//   POST URL
//   Content-Type: application/json
//   Export-Worker-Event: EVENT_ID
//   Export-Worker-Signature: t=UNIX,v1=HEX
//
// HEX is HMAC-SHA-256 with the webhook's secret over "UNIX.BODY", byte for byte as sent. The
// receiver compares it in constant time, refuses old times, and treats the same event id twice as
// once.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/http_client/http_client.hpp"
#include "daemon/model/webhook_settings.hpp"

namespace export_worker::notices {

// "t=1700000000,v1=5f..."
[[nodiscard]] std::string webhook_signature(std::string_view secret, std::int64_t unix_s,
                                            std::string_view body);

enum class WebhookOutcome {
    kTaken,    // 2xx.
    kRetry,    // Nobody answered, or any other answer: a redirect is one and is not followed.
    kRefused,  // 410: the receiver wants no more of it. Or the URL leads where it must not.
};
struct WebhookAnswer {
    WebhookOutcome outcome = WebhookOutcome::kRetry;
    std::string text;  // "200", "connection refused", for operators.
};

// Blocks for at most kWebhookTimeout.
[[nodiscard]] WebhookAnswer send_webhook(http::HttpClient& client,
                                         const model::WebhookSettings& webhook,
                                         std::string_view secret, std::int64_t unix_s,
                                         std::string_view event_id, std::string_view body);

}  // namespace export_worker::notices
