#include "daemon/notices/webhook.hpp"

#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "daemon/notices/limits.hpp"

namespace export_worker::notices {

std::string webhook_signature(std::string_view secret, std::int64_t unix_s, std::string_view body) {
    const std::string time = std::to_string(unix_s);
    std::string signed_text = time + ".";
    signed_text += body;
    return "t=" + time + ",v1=" + to_hex(crypto::hmac_sha256(secret, signed_text));
}

WebhookAnswer send_webhook(http::HttpClient& client, const model::WebhookSettings& webhook,
                           std::string_view secret, std::int64_t unix_s, std::string_view event_id,
                           std::string_view body) {
    http::HttpRequest request;
    request.method = "POST";
    request.url = webhook.url;
    request.body = body;
    request.headers = {{"Content-Type", "application/json"},
                       {"User-Agent", "export-worker"},
                       {"Export-Worker-Event", std::string(event_id)},
                       {"Export-Worker-Signature", webhook_signature(secret, unix_s, body)}};
    request.timeout = limits::kWebhookTimeout;
    request.answer_bytes_max = limits::kWebhookAnswerBytesMax;
    request.public_only = !webhook.allow_private;
    const auto answer = client.send(request);
    if (!answer) {
        const ErrorCode code = answer.error().code;
        const bool never =
            code == ErrorCode::kFailedPrecondition || code == ErrorCode::kInvalidArgument;
        return {never ? WebhookOutcome::kRefused : WebhookOutcome::kRetry, answer.error().message};
    }
    const std::string status = std::to_string(answer->status);
    if (answer->status >= 200 && answer->status < 300) return {WebhookOutcome::kTaken, status};
    return {answer->status == 410 ? WebhookOutcome::kRefused : WebhookOutcome::kRetry, status};
}

}  // namespace export_worker::notices
