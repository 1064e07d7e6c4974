// HTTP requests to others: one at a time, bounded in every direction, never following a redirect.
//
// A redirect changes the host, and with it what was signed; for metadata services it would be a way
// out of the machine. A crash leaves a request with an unknown outcome: the sender of one that
// changes something asks afterwards.
#pragma once

#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "daemon/http_client/limits.hpp"

namespace export_worker::http {

struct HttpRequest {
    std::string_view method = "GET";
    std::string url;  // http or https; used as it is, byte for byte.
    std::vector<std::pair<std::string, std::string>> headers;
    std::string_view body;  // Borrowed until send() returns.
    std::chrono::milliseconds connect_timeout = limits::kHttpConnectTimeout;
    // Total time limit; 0: none, only `stall` applies.
    std::chrono::milliseconds timeout{0};
    std::chrono::seconds stall = limits::kHttpStall;  // How long it may stand still.
    std::size_t answer_bytes_max = limits::kHttpAnswerBytesMax;
    std::string ca_file;  // PEM bundle used instead of the system CA store.
    bool direct = false;  // Never over a proxy: for services of this machine.
    // Only to addresses of the public Internet, whatever the name resolves to, and never over a
    // proxy: for URLs that others chose. kFailedPrecondition otherwise.
    bool public_only = false;
};

struct HttpAnswer {
    long status = 0;
    std::vector<std::pair<std::string, std::string>> headers;  // Names in lower case.
    std::string body;
    // Empty when there is none.
    [[nodiscard]] std::string_view header(std::string_view lower_case_name) const;
};

// Keeps connections from request to request. Threads: [one-owner], may move between threads.
class HttpClient {
public:
    // `stopping`, when given, outlives the client and ends a request in flight.
    explicit HttpClient(const std::atomic<bool>* stopping = nullptr);
    HttpClient(HttpClient&&) noexcept;
    ~HttpClient();

    // Any status is an answer. Errors, all naming scheme and host but never path or query:
    // kUnavailable without an answer (refused, timed out, cut off: the request may have been
    // carried out), kCancelled once `stopping`, kInvalidArgument for a URL that is none,
    // kResourceExhausted for an answer over its limit, kFailedPrecondition for a certificate nobody
    // vouches for.
    [[nodiscard]] Result<HttpAnswer> send(const HttpRequest& request);

private:
    struct Handle;
    std::unique_ptr<Handle> handle_;
    const std::atomic<bool>* stopping_;
};

}  // namespace export_worker::http
