// Responses: a fixed set of headers, bodies in the public API's shape.
#pragma once

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "protocol/message/wire_error.hpp"

namespace export_worker::http_shim {

struct Response {
    int status = 200;
    std::string_view content_type = "application/json";  // Outlives the response.
    std::string body;
    std::string_view document;  // Instead of `body`, and never copied: outlives the response.
    std::vector<std::pair<std::string, std::string>> headers;  // Beside those every response has.
    bool close = false;                                        // The connection ends after it.

    [[nodiscard]] std::string_view content() const {
        return document.empty() ? std::string_view(body) : document;
    }
};

// {"detail": "..."}
[[nodiscard]] Response make_error_response(int status, std::string_view detail);
// 422 with one entry: {"detail": [{"loc": [...], "msg": ..., "type": ...}]}.
[[nodiscard]] Response make_validation_response(const std::vector<std::string>& loc,
                                                std::string_view message,
                                                std::string_view type = "value_error");
// An error of the daemon in HTTP's words. `loc`: where the field named in an invalid_argument lies
// ("path", "body").
[[nodiscard]] Response make_wire_error_response(const message::WireError& error,
                                                std::string_view loc);

// 429 or 503 with a Retry-After of at least `wait`.
[[nodiscard]] Response make_later_response(int status, std::string_view detail,
                                           std::chrono::nanoseconds wait);
// The page at /docs, which may load nothing from anywhere else.
[[nodiscard]] Response make_docs_response(std::string_view html);

// What a request is called in logs and traces; every response says so.
struct ExchangeIds {
    std::string_view request_id;
    std::string_view traceparent;  // Empty: the request was refused by the framing policy.
};

// Status line and headers, with the empty line. `content_length` counts the body, also when it is
// not sent (HEAD).
[[nodiscard]] std::string encode_head(const Response& response, std::uint64_t content_length,
                                      bool keep_alive, const ExchangeIds& ids);

}  // namespace export_worker::http_shim
