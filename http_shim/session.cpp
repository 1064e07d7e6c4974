#include "http_shim/session.hpp"

#include <sys/sendfile.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <optional>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/write.hpp>

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"
#include "base/crypto/uuid.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "http_shim/api.hpp"
#include "http_shim/limits.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/response.hpp"
#include "http_shim/routes.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/trace.hpp"

namespace export_worker::http_shim {

// Made by cmake/embed.cmake.
extern const std::string_view kOpenapiJson;
extern const std::string_view kDocsHtml;

namespace {

namespace asio = boost::asio;
using asio::redirect_error;
using boost::system::error_code;

constexpr std::size_t kReadChunkBytes = 4096;
constexpr std::size_t kSendChunkBytes = 1024 * 1024;  // At most, of one call to the kernel.
constexpr std::uint64_t kSendTurnBytes =
    4 * 1024 * 1024;  // Then other connections have their turn.

const char* method_name(Method method) {
    switch (method) {
        case Method::kGet: return "GET";
        case Method::kHead: return "HEAD";
        case Method::kPost: return "POST";
        case Method::kOptions: return "OPTIONS";
    }
    return "?";
}

// One request, as the log and the response's headers speak of it.
struct Exchange {
    std::string request_id;
    std::string traceparent;  // The step of the trace that is ours.
    std::string client;
    Clock::time_point started = Clock::now();
    bool keep_alive = true;
    int status = 0;
    std::uint64_t bytes = 0;  // Of the body that was sent.
};

class Session {
public:
    Session(Stream socket, std::string peer, SessionParts& parts)
        : socket_(std::move(socket)),
          peer_(std::move(peer)),
          timer_(socket_.get_executor()),
          parts_(parts) {}

    Awaitable<void> run();

private:
    // Absolute: the socket is closed when it passes, whatever trickles in meanwhile.
    void set_deadline(std::chrono::seconds time);
    void clear_deadline() { deadline_ = Deadline::max(); }
    void arm();

    Awaitable<bool> read_head(std::string& head);
    Awaitable<bool> read_body(const RequestHead& head, std::string& body);
    Awaitable<bool> serve_one(const RequestHead& head);
    Awaitable<bool> answer(const RequestHead& head, const std::string& body, Exchange& exchange);
    // What is refused before a body is read; nullopt: go on.
    std::optional<Response> admit(const RequestHead& head, const Exchange& exchange);
    Awaitable<Response> respond(const Match& match, const RequestHead& head,
                                const std::string& body, const Exchange& exchange);
    Awaitable<Response> call_daemon(const Match& match, const RequestHead& head,
                                    const std::string& body, const Exchange& exchange,
                                    std::uint32_t deadline_ms);
    Awaitable<Response> ready(const Exchange& exchange);
    Awaitable<bool> write_response(const Response& response, bool is_head, Exchange& exchange);
    Awaitable<bool> write_download(const RequestHead& head, Exchange& exchange);
    Awaitable<bool> send_file(const downloads::Download& download, Exchange& exchange);
    void report_download(const RequestHead& head);
    void note(const Route* route, const RequestHead& head, const Exchange& exchange);
    Awaitable<void> refuse(const HeadRefusal& refusal);
    Awaitable<void> linger();

    Stream socket_;
    const std::string peer_;
    using Deadline = Clock::time_point;
    Timer timer_;
    Deadline deadline_ = Deadline::max();
    bool timer_runs_ = false;
    SessionParts& parts_;
    std::string buffer_;  // Read but not consumed.
    // Not in a coroutine's frame: that is allocated for each request.
    std::array<char, kReadChunkBytes> chunk_;
    std::shared_ptr<Session*> self_ =
        std::make_shared<Session*>(this);  // Tells the timer that we still exist.
};

// Later deadlines do not touch the timer: it looks again when it fires. A request that is in time
// costs no timer at all.
void Session::set_deadline(std::chrono::seconds time) {
    deadline_ = Clock::now() + time;
    if (deadline_ < timer_.expiry() || !timer_runs_) arm();
}

void Session::arm() {
    timer_runs_ = true;
    timer_.expires_at(deadline_);
    timer_.async_wait([weak = std::weak_ptr<Session*>(self_)](const error_code& error) {
        const auto self = weak.lock();
        if (error || !self) return;  // Armed anew, or the session is over.
        Session& session = **self;
        session.timer_runs_ = false;
        if (session.deadline_ == Deadline::max()) return;
        if (session.deadline_ > Clock::now()) return session.arm();
        error_code ignored;
        session.socket_.close(ignored);
    });
}

// Up to the empty line. The rest of what came stays in buffer_. False: the peer is gone or was
// refused.
Awaitable<bool> Session::read_head(std::string& head) {
    set_deadline(buffer_.empty() ? limits::kHttpIdleTimeout : limits::kHttpHeaderTimeout);
    std::size_t searched = 0;
    for (;;) {
        const std::size_t end = buffer_.find("\r\n\r\n", searched);
        const std::size_t head_bytes = end == std::string::npos ? buffer_.size() : end + 4;
        if (head_bytes > limits::kHttpHeaderBytesMax) {
            // Named, like every argument of a co_await here: g++ 12 destroys braced temporaries in
            // one twice.
            const HeadRefusal refusal{431, "Request Header Fields Too Large", {}};
            co_await refuse(refusal);
            co_return false;
        }
        if (end != std::string::npos) {
            head = buffer_.substr(0, head_bytes);
            buffer_.erase(0, head_bytes);
            co_return true;
        }
        searched = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
        error_code error;
        const std::size_t got = co_await socket_.async_read_some(
            asio::buffer(chunk_), redirect_error(use_awaitable, error));
        if (error) co_return false;
        const bool first = buffer_.empty();
        buffer_.append(chunk_.data(), got);
        // From the first byte; most heads are whole with it.
        if (first && buffer_.find("\r\n\r\n") == std::string::npos)
            set_deadline(limits::kHttpHeaderTimeout);
        // An empty line before a request is tolerated (RFC 9112, 2.2), once.
        if (buffer_.starts_with("\r\n") && searched == 0) buffer_.erase(0, 2);
    }
}

Awaitable<bool> Session::read_body(const RequestHead& head, std::string& body) {
    set_deadline(limits::kHttpBodyTimeout);
    error_code error;
    if (head.expects_continue && buffer_.empty() && head.content_length > 0) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        co_await asio::async_write(socket_, asio::buffer(kContinue),
                                   redirect_error(use_awaitable, error));
        if (error) co_return false;
    }
    const auto wanted = static_cast<std::size_t>(head.content_length);
    body = buffer_.substr(0, wanted);
    buffer_.erase(0, body.size());
    const std::size_t have = body.size();
    body.resize(wanted);
    if (have < wanted) {
        co_await asio::async_read(socket_, asio::buffer(body.data() + have, wanted - have),
                                  redirect_error(use_awaitable, error));
    }
    co_return !error;
}

Awaitable<void> Session::run() {
    for (std::size_t count = 1; count <= limits::kHttpRequestsPerConnectionMax; ++count) {
        std::string bytes;
        if (!co_await read_head(bytes)) co_return;
        auto head = parse_request_head(bytes, parts_.config.hosts);
        if (!head) {
            co_await refuse(head.error());
            co_return;
        }
        if (count == limits::kHttpRequestsPerConnectionMax) head->keep_alive = false;
        ++parts_.busy;
        const bool again = co_await serve_one(*head);
        --parts_.busy;
        if (!again) co_return;
    }
}

// True: the connection lives on.
Awaitable<bool> Session::serve_one(const RequestHead& head) {
    Exchange exchange;
    exchange.request_id = request_id_of(head);
    exchange.traceparent = message::make_traceparent(head.header("traceparent"));
    exchange.client =
        client_address(peer_, head.header("x-forwarded-for"), parts_.config.trusted_proxies);
    exchange.keep_alive = head.keep_alive;
    std::optional<Response> refused = admit(head, exchange);
    if (refused) {
        // The body is not read: what follows the head is never taken for a request.
        refused->close = head.has_body && head.content_length > 0;
        const bool written =
            co_await write_response(*refused, head.method == Method::kHead, exchange);
        note(match_route(head.method, head.path).route, head, exchange);
        if (refused->close) co_await linger();
        co_return (written && exchange.keep_alive && !refused->close);
    }
    std::string body;
    parts_.body_bytes += head.content_length;
    const bool read = !head.has_body || co_await read_body(head, body);
    bool again = false;
    if (read) again = co_await answer(head, body, exchange);
    parts_.body_bytes -= head.content_length;
    co_return again;
}

std::optional<Response> Session::admit(const RequestHead& head, const Exchange& exchange) {
    const auto hash = [](std::string_view text) {
        const crypto::Sha256Digest digest = crypto::sha256(text);
        std::uint64_t out = 0;
        std::memcpy(&out, digest.data(), sizeof out);
        return out;
    };
    const auto now = Clock::now();
    std::optional<std::chrono::nanoseconds> wait;
    if (parts_.config.address_rate > 0)
        wait = parts_.by_address.take(hash(limit_group(exchange.client)), now);
    const std::string_view credential = credential_of(head);
    if (!wait && parts_.config.credential_rate > 0 && !credential.empty())
        wait = parts_.by_credential.take(hash(credential), now);
    if (wait) {
        ++parts_.metrics.rate_limited;
        return make_later_response(429, "Too many requests", *wait);
    }
    if (parts_.body_bytes + head.content_length > limits::kHttpBodyBytesInFlightMax)
        return make_error_response(503, "Service temporarily unavailable");
    return std::nullopt;
}

Awaitable<bool> Session::answer(const RequestHead& head, const std::string& body,
                                Exchange& exchange) {
    clear_deadline();
    const Match match = match_route(head.method, head.path);
    bool written = false;
    if (match.route != nullptr && match.route->kind == RouteKind::kDownload) {
        written = co_await write_download(head, exchange);
    } else {
        const Response response = co_await respond(match, head, body, exchange);
        written = co_await write_response(response, head.method == Method::kHead, exchange);
    }
    note(match.route, head, exchange);
    co_return (written && exchange.keep_alive);
}

Awaitable<Response> Session::respond(const Match& match, const RequestHead& head,
                                     const std::string& body, const Exchange& exchange) {
    Response response;
    if (head.method == Method::kOptions && (head.target == "*" || !match.allow.empty())) {
        response.status = 204;
        response.headers.emplace_back(
            "Allow", match.allow.empty() ? "GET, HEAD, POST, OPTIONS" : match.allow);
        co_return response;
    }
    if (match.route == nullptr && !match.allow.empty()) {
        response = make_error_response(405, "Method Not Allowed");
        response.headers.emplace_back("Allow", match.allow);
        co_return response;
    }
    switch (match.route == nullptr ? RouteKind::kNone : match.route->kind) {
        case RouteKind::kCall:
            co_return co_await call_daemon(match, head, body, exchange,
                                           parts_.config.request_timeout_ms);
        case RouteKind::kReadyz: co_return co_await ready(exchange);
        case RouteKind::kLivez: response.body = R"({"status":"alive"})"; co_return response;
        case RouteKind::kOpenapi: response.body = kOpenapiJson; co_return response;
        case RouteKind::kDocs:
            if (parts_.config.docs) co_return make_docs_response(kDocsHtml);
            break;
        case RouteKind::kMetrics:
            if (parts_.config.metrics_from.contains(exchange.client)) {
                response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                response.body =
                    parts_.metrics.page(parts_.connections, parts_.daemons.states()).text();
                co_return response;
            }
            break;
        case RouteKind::kDownload:
        case RouteKind::kNone: break;
    }
    co_return make_error_response(404, "Not Found");
}

// The access log and the metrics.
void Session::note(const Route* route, const RequestHead& head, const Exchange& exchange) {
    const auto taken = Clock::now() - exchange.started;
    parts_.metrics.count(route, exchange.status, taken);
    if (!logs(LogLevel::kInfo)) return;
    const std::string target = redact_url(head.target);
    log_event(
        LogLevel::kInfo, "request",
        {{"status", std::int64_t{exchange.status}},
         {"method", method_name(head.method)},
         {"target", target},
         {"bytes", static_cast<std::int64_t>(exchange.bytes)},
         {"duration_us", std::chrono::duration_cast<std::chrono::microseconds>(taken).count()},
         {"client", exchange.client},
         {"request_id", exchange.request_id},
         {"trace_id", message::trace_id_of(exchange.traceparent)}});
}

Awaitable<Response> Session::call_daemon(const Match& match, const RequestHead& head,
                                         const std::string& body, const Exchange& exchange,
                                         std::uint32_t deadline_ms) {
    const std::string id = exchange.request_id + "." + std::to_string(++parts_.calls);
    const auto message = make_message(match, head, body, {id, exchange.traceparent, deadline_ms});
    if (!message) co_return message.error();
    const auto sent = Clock::now();
    // The daemon's own deadline answer should win against ours.
    const std::chrono::milliseconds timeout(parts_.config.request_timeout_ms + 250);
    const Result<std::string> reply = co_await parts_.daemons.ask(id, *message, timeout);
    parts_.metrics.count_daemon_call(Clock::now() - sent);
    co_return make_response(match, reply);
}

Awaitable<Response> Session::ready(const Exchange& exchange) {
    static const Route ping{Method::kGet, "/readyz", RouteKind::kCall, "sys.ping"};
    const Match match{&ping, {}, {}};
    if (parts_.draining) co_return make_error_response(503, "The shim is shutting down");
    const RequestHead head;
    const std::string body;
    Response response = co_await call_daemon(match, head, body, exchange, 1000);
    if (response.status == 200) {
        response.body = R"({"status":"ready"})";
    } else if (response.status == 503) {
        response = make_error_response(503, client::why_not_ready(parts_.daemons.states()));
    }
    co_return response;
}

Awaitable<bool> Session::write_response(const Response& response, bool is_head,
                                        Exchange& exchange) {
    set_deadline(limits::kHttpWriteTimeout);
    exchange.status = response.status;
    exchange.keep_alive = exchange.keep_alive && !parts_.draining;
    std::string bytes =
        encode_head(response, response.body.size(), exchange.keep_alive && !response.close,
                    {exchange.request_id, exchange.traceparent});
    if (!is_head && response.status != 204 && response.status != 304) {
        bytes += response.body;
        exchange.bytes = response.body.size();
    }
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(bytes), redirect_error(use_awaitable, error));
    co_return !error && !response.close;
}

Awaitable<bool> Session::write_download(const RequestHead& head, Exchange& exchange) {
    const downloads::DownloadRequest request{head.target,
                                             head.header("range"),
                                             head.header("if-range"),
                                             head.header("if-match"),
                                             head.header("if-none-match"),
                                             head.header("if-modified-since"),
                                             head.header("if-unmodified-since")};
    const downloads::Download download = downloads::open_download(
        request, parts_.config.downloads, system_clock().unix_us() / 1'000'000);
    const bool is_head = head.method == Method::kHead;
    Response response;
    if (!download.detail.empty()) response = make_error_response(download.status, download.detail);
    response.status = download.status;
    response.headers.insert(response.headers.end(), download.headers.begin(),
                            download.headers.end());
    if (!download.file) co_return co_await write_response(response, is_head, exchange);
    response.content_type = download.content_type;
    exchange.status = response.status;
    exchange.keep_alive = exchange.keep_alive && !parts_.draining;
    set_deadline(limits::kHttpWriteTimeout);
    const std::string bytes = encode_head(response, download.bytes, exchange.keep_alive,
                                          {exchange.request_id, exchange.traceparent});
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(bytes), redirect_error(use_awaitable, error));
    if (error) co_return false;
    if (is_head) co_return true;
    const bool sent = co_await send_file(download, exchange);
    if (sent) report_download(head);
    co_return sent;
}

// So that the job remembers it. Nobody waits for the answer, and a daemon that is away misses it.
void Session::report_download(const RequestHead& head) {
    std::string params;
    const nlohmann::json target = {{"target", head.target}};
    params = dump_msgpack(target);
    const std::string id = crypto::make_uuid7(system_clock().unix_us());
    message::Request request;
    request.id = id;
    request.method = "downloads.report";
    request.deadline_ms = parts_.config.request_timeout_ms;
    request.params = params;
    parts_.daemons.tell(id, message::encode_request(request),
                        std::chrono::milliseconds(parts_.config.request_timeout_ms));
}

// The kernel copies from file to socket. A file that turns out shorter than it was ends the
// connection: the client sees a truncated body instead of a wrong one.
Awaitable<bool> Session::send_file(const downloads::Download& download, Exchange& exchange) {
    auto offset = static_cast<off_t>(download.offset);
    std::uint64_t left = download.bytes;
    std::uint64_t turn = 0;  // Sent without a wait.
    error_code error;
    socket_.native_non_blocking(true, error);
    while (left > 0 && !error) {
        const auto chunk = static_cast<std::size_t>(std::min<std::uint64_t>(left, kSendChunkBytes));
        const ssize_t sent =
            ::sendfile(socket_.native_handle(), download.file.get(), &offset, chunk);
        if (sent > 0) {
            left -= static_cast<std::uint64_t>(sent);
            turn += static_cast<std::uint64_t>(sent);
            exchange.bytes += static_cast<std::uint64_t>(sent);
            parts_.metrics.download_bytes += static_cast<std::uint64_t>(sent);
            if (turn < kSendTurnBytes || left == 0) continue;
            turn = 0;
            co_await asio::post(socket_.get_executor(), use_awaitable);  // The others' turn.
        } else if (sent < 0 && errno == EAGAIN) {
            turn = 0;
            set_deadline(limits::kHttpWriteTimeout);
            co_await socket_.async_wait(Stream::wait_write, redirect_error(use_awaitable, error));
        } else if (sent == 0 || errno != EINTR) {
            co_return false;
        }
    }
    co_return !error;
}

Awaitable<void> Session::refuse(const HeadRefusal& refusal) {
    Response response = make_error_response(refusal.status, refusal.detail);
    response.close = true;
    if (!refusal.allow.empty()) response.headers.emplace_back("Allow", refusal.allow);
    ++parts_.metrics.refused_heads;
    log_event(
        LogLevel::kInfo, "refused",
        {{"status", std::int64_t{refusal.status}}, {"reason", refusal.detail}, {"client", peer_}});
    Exchange exchange;
    exchange.request_id = crypto::make_uuid7(system_clock().unix_us());
    exchange.keep_alive = false;
    co_await write_response(response, false, exchange);
    co_await linger();
}

// Closing with unread bytes makes the kernel send a reset, and the client may never see the answer:
// say that we are done, then read what is still coming for a moment.
Awaitable<void> Session::linger() {
    error_code error;
    socket_.shutdown(Stream::shutdown_send, error);
    set_deadline(std::chrono::seconds(1));
    for (int rounds = 0; rounds < 256 && !error; ++rounds) {
        co_await socket_.async_read_some(asio::buffer(chunk_),
                                         redirect_error(use_awaitable, error));
    }
}

}  // namespace

Awaitable<void> serve(Stream socket, std::string peer, SessionParts& parts) {
    const std::string group = limit_group(peer);
    ++parts.connections;
    ++parts.connections_by_group[group];
    {
        Session session(std::move(socket), std::move(peer), parts);
        co_await session.run();
    }
    --parts.connections;
    if (--parts.connections_by_group[group] == 0) parts.connections_by_group.erase(group);
}

}  // namespace export_worker::http_shim
