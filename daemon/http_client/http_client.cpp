#include "daemon/http_client/http_client.hpp"

#include <curl/curl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cctype>

#include "base/assert.hpp"
#include "base/text.hpp"
#include "daemon/http_client/limits.hpp"
#include "daemon/http_client/public_address.hpp"

namespace export_worker::http {
namespace {

// Once a process, before any handle; libcurl asks for it.
void init_library() {
    static const CURLcode done = curl_global_init(CURL_GLOBAL_DEFAULT);
    EW_ASSERT(done == CURLE_OK);
}

struct FreeList {
    void operator()(curl_slist* list) const noexcept { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

struct Incoming {
    HttpAnswer answer;
    std::size_t bytes_max = 0;
    bool too_large = false;
};

std::size_t take_body(char* data, std::size_t size, std::size_t count, void* to) {
    auto& in = *static_cast<Incoming*>(to);
    const std::size_t bytes = size * count;
    if (bytes > in.bytes_max - in.answer.body.size()) {
        in.too_large = true;
        return 0;
    }
    in.answer.body.append(data, bytes);
    return bytes;
}

std::size_t take_header(char* data, std::size_t size, std::size_t count, void* to) {
    auto& in = *static_cast<Incoming*>(to);
    std::string_view line(data, size * count);
    if (line.starts_with("HTTP/")) {
        in.answer.headers.clear();  // After "100 Continue" comes the real answer.
        return line.size();
    }
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    const std::size_t colon = line.find(':');
    if (colon == std::string_view::npos || in.answer.headers.size() >= limits::kHttpAnswerFieldsMax)
        return size * count;
    std::string name(line.substr(0, colon));
    std::ranges::transform(name, name.begin(),
                           [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
    const std::size_t value = std::min(line.find_first_not_of(" \t", colon + 1), line.size());
    in.answer.headers.emplace_back(std::move(name), line.substr(value));
    return size * count;
}

struct Outgoing {
    std::string_view body;
    std::size_t sent = 0;
};

std::size_t give_body(char* to, std::size_t size, std::size_t count, void* from) {
    auto& out = *static_cast<Outgoing*>(from);
    const std::size_t bytes = std::min(size * count, out.body.size() - out.sent);
    out.body.copy(to, bytes, out.sent);
    out.sent += bytes;
    return bytes;
}

// libcurl goes back to the start when a kept connection turns out to be dead.
int seek_body(void* from, curl_off_t offset, int origin) {
    auto& out = *static_cast<Outgoing*>(from);
    if (origin != SEEK_SET || offset < 0 || static_cast<std::size_t>(offset) > out.body.size())
        return CURL_SEEKFUNC_CANTSEEK;
    out.sent = static_cast<std::size_t>(offset);
    return CURL_SEEKFUNC_OK;
}

int look_around(void* stopping, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto* flag = static_cast<const std::atomic<bool>*>(stopping);
    return flag != nullptr && flag->load(std::memory_order_relaxed) ? 1 : 0;
}

// "https://host:port": what may be said of a URL whose query is a secret.
std::string origin_of(std::string_view url) {
    const std::size_t host = url.find("://");
    if (host == std::string_view::npos) return "an address without a scheme";
    return printable(url.substr(0, url.find_first_of("/?#", host + 3)), 200);
}

// Refuses to open a socket to an address that is not public; curl goes on with the next one.
struct PublicOnly {
    bool refused = false;
};
curl_socket_t open_public_socket(void* data, curlsocktype, curl_sockaddr* address) {
    if (!is_public_address(address->addr)) {
        static_cast<PublicOnly*>(data)->refused = true;
        return CURL_SOCKET_BAD;
    }
    return ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
}

template <typename Value>
void set(CURL* curl, CURLoption option, Value value) {
    EW_ASSERT(curl_easy_setopt(curl, option, value) == CURLE_OK);
}

HeaderList make_headers(const HttpRequest& request) {
    HeaderList out;
    const auto add = [&](const std::string& line) {
        curl_slist* longer = curl_slist_append(out.get(), line.c_str());
        EW_ASSERT(longer != nullptr);
        (void)out.release();
        out.reset(longer);
    };
    for (const auto& [name, value] : request.headers)
        add(value.empty() ? name + ";" : name + ": " + value);
    add("Expect:");  // Nobody here waits for "100 Continue".
    add("Accept:");
    return out;
}

void set_method(CURL* curl, const HttpRequest& request, Outgoing& outgoing, const char* method) {
    if (request.method == "HEAD") {
        set(curl, CURLOPT_NOBODY, 1L);
        return;
    }
    const bool has_body = request.method == "PUT" || request.method == "POST";
    if (has_body) {
        // Both go out as uploads with a known length; only the verb differs.
        set(curl, CURLOPT_UPLOAD, 1L);
        set(curl, CURLOPT_READFUNCTION, give_body);
        set(curl, CURLOPT_READDATA, static_cast<void*>(&outgoing));
        set(curl, CURLOPT_SEEKFUNCTION, seek_body);
        set(curl, CURLOPT_SEEKDATA, static_cast<void*>(&outgoing));
        set(curl, CURLOPT_INFILESIZE_LARGE, static_cast<curl_off_t>(request.body.size()));
    }
    set(curl, CURLOPT_CUSTOMREQUEST, method);
}

tl::unexpected<Error> failure_of(CURLcode code, const std::string& where, bool too_large) {
    const std::string tried = "ask " + where + ": ";
    if (too_large)
        return fail(ErrorCode::kResourceExhausted, tried + "the answer is over its limit");
    const std::string why = curl_easy_strerror(code);
    switch (code) {
        case CURLE_ABORTED_BY_CALLBACK: return fail(ErrorCode::kCancelled, tried + "stopping");
        case CURLE_URL_MALFORMAT:
        case CURLE_UNSUPPORTED_PROTOCOL: return fail(ErrorCode::kInvalidArgument, tried + why);
        case CURLE_PEER_FAILED_VERIFICATION:
        case CURLE_SSL_CACERT_BADFILE: return fail(ErrorCode::kFailedPrecondition, tried + why);
        default: return fail(ErrorCode::kUnavailable, tried + why);
    }
}

}  // namespace

struct HttpClient::Handle {
    Handle() : curl((init_library(), curl_easy_init())) { EW_ASSERT(curl != nullptr); }
    Handle(const Handle&) = delete;
    Handle& operator=(const Handle&) = delete;
    ~Handle() { curl_easy_cleanup(curl); }
    CURL* const curl;
};

std::string_view HttpAnswer::header(std::string_view name) const {
    const auto found = std::ranges::find(
        headers, name, [](const auto& header) { return std::string_view(header.first); });
    return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

HttpClient::HttpClient(const std::atomic<bool>* stopping)
    : handle_(std::make_unique<Handle>()), stopping_(stopping) {}
HttpClient::HttpClient(HttpClient&&) noexcept = default;
HttpClient::~HttpClient() = default;

Result<HttpAnswer> HttpClient::send(const HttpRequest& request) {
    CURL* const curl = handle_->curl;
    curl_easy_reset(curl);  // Options only; connections stay.
    Incoming incoming;
    incoming.bytes_max = request.answer_bytes_max;
    Outgoing outgoing{request.body};
    const HeaderList headers = make_headers(request);
    const std::string method(request.method);
    set(curl, CURLOPT_URL, request.url.c_str());
    set(curl, CURLOPT_PROTOCOLS_STR, "http,https");
    set(curl, CURLOPT_PATH_AS_IS, 1L);
    set(curl, CURLOPT_FOLLOWLOCATION, 0L);
    set(curl, CURLOPT_NOSIGNAL, 1L);
    set(curl, CURLOPT_HTTPHEADER, headers.get());
    set(curl, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(request.connect_timeout.count()));
    set(curl, CURLOPT_TIMEOUT_MS, static_cast<long>(request.timeout.count()));
    set(curl, CURLOPT_LOW_SPEED_LIMIT, 1024L);
    set(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall.count()));
    set(curl, CURLOPT_WRITEFUNCTION, take_body);
    set(curl, CURLOPT_WRITEDATA, static_cast<void*>(&incoming));
    set(curl, CURLOPT_HEADERFUNCTION, take_header);
    set(curl, CURLOPT_HEADERDATA, static_cast<void*>(&incoming));
    set(curl, CURLOPT_NOPROGRESS, 0L);
    set(curl, CURLOPT_XFERINFOFUNCTION, look_around);
    set(curl, CURLOPT_XFERINFODATA, static_cast<void*>(const_cast<std::atomic<bool>*>(stopping_)));
    if (!request.ca_file.empty()) set(curl, CURLOPT_CAINFO, request.ca_file.c_str());
    if (request.direct || request.public_only) set(curl, CURLOPT_NOPROXY, "*");
    PublicOnly guard;
    if (request.public_only) {
        // A connection that is kept may have been opened for somebody who may go anywhere.
        set(curl, CURLOPT_FRESH_CONNECT, 1L);
        set(curl, CURLOPT_OPENSOCKETFUNCTION, open_public_socket);
        set(curl, CURLOPT_OPENSOCKETDATA, static_cast<void*>(&guard));
    }
    set_method(curl, request, outgoing, method.c_str());
    const CURLcode code = curl_easy_perform(curl);
    if (code != CURLE_OK && guard.refused)
        return fail(ErrorCode::kFailedPrecondition,
                    "ask " + origin_of(request.url) + ": its address is in a private network");
    if (code != CURLE_OK) return failure_of(code, origin_of(request.url), incoming.too_large);
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &incoming.answer.status);
    return std::move(incoming.answer);
}

}  // namespace export_worker::http
