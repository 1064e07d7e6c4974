// Requests to one object store: signed like links, sent with retries, refusals told apart.
//
// Presigned with the store's own signer and its internal endpoint; every try is signed anew,
// because credentials may have changed since the last.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/http_client/http_client.hpp"
#include "daemon/http_client/limits.hpp"
#include "signing/store.hpp"
#include "signing/store_link.hpp"

namespace export_worker::files {

// What an object store is reached with. Everything outlives the store.
struct ObjectStoreDeps {
    signing::Store store;
    std::size_t part_bytes = 0;
    const Clock* clock = nullptr;
    // The key to sign with now. Errors: kUnavailable while there are no credentials. [any-thread]
    std::function<Result<signing::SigningKey>()> signing_key;
    const std::atomic<bool>* stopping = nullptr;  // Ends requests and waits.
};

struct ObjectRequest {
    std::string_view method = "GET";
    std::string_view key;  // Exact; empty: the bucket or container.
    std::vector<std::pair<std::string, std::string>> query;
    std::vector<std::pair<std::string, std::string>> headers;  // Signed where the kind can.
    std::string_view body;
    std::string_view permissions = "r";  // azure
    std::chrono::seconds stall = limits::kHttpStall;
};

// Threads: [one-owner].
class ObjectRequests {
public:
    // `deps` outlives this object.
    explicit ObjectRequests(const ObjectStoreDeps& deps) : deps_(deps), client_(deps.stopping) {}

    // One try. Any status is an answer. Errors: those of HttpClient::send() and of signing;
    // kUnavailable while the daemon stops.
    [[nodiscard]] Result<http::HttpAnswer> send_once(const ObjectRequest& request);
    // Up to kHttpTriesMax times while there is no answer or the answer is "later". The request must
    // be one that may be carried out twice.
    [[nodiscard]] Result<http::HttpAnswer> send(const ObjectRequest& request);
    // Waits before try `failures` + 1. Errors: kUnavailable once the daemon stops.
    [[nodiscard]] Result<void> wait(int failures) const;

private:
    const ObjectStoreDeps& deps_;
    http::HttpClient client_;
};

// The error an answer other than a good one is: kUnavailable for "later" and for credentials that
// have just ended, kFailedPrecondition for every other refusal. Names the status and the store's
// own code and message, never a URL.
[[nodiscard]] Error error_of(const http::HttpAnswer& answer, std::string_view tried);
// The code in an answer's body ("NoSuchUpload"), or in Azure's header; empty when there is none.
[[nodiscard]] std::string code_of(const http::HttpAnswer& answer);

}  // namespace export_worker::files
