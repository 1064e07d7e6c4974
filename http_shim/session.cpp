#include "http_shim/session.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <optional>

#include "base/address_list.hpp"
#include "base/clock.hpp"
#include "base/crypto/uuid.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "http_shim/answer.hpp"
#include "http_shim/api.hpp"
#include "http_shim/channel.hpp"
#include "http_shim/cross_origin.hpp"
#include "http_shim/limits.hpp"
#include "protocol/message/request.hpp"
#include "protocol/message/trace.hpp"

namespace export_worker::http_shim {
namespace {

constexpr std::size_t kBodyStepBytes = 64 * 1024;  // A body takes room as it comes.

constexpr std::string_view kTooManyAnswers = "Too many answers wait for their readers";

Connections::Held::Holder holder_of(const Exchange& exchange) {
    return {exchange.client, exchange.is_proxy};
}

const char* method_name(Method method) {
    switch (method) {
        case Method::kGet: return "GET";
        case Method::kHead: return "HEAD";
        case Method::kPost: return "POST";
        case Method::kOptions: return "OPTIONS";
    }
    return "?";
}

// A path that is not served has what any may have.
std::string_view allow_of(std::string_view path) {
    const std::string_view allow = match_route(Method::kGet, path).allow;
    return allow.empty() ? "GET, HEAD, POST, OPTIONS" : allow;
}

RouteKind kind_of(const Route* route) {
    return route == nullptr ? RouteKind::kNone : route->kind;
}

// Whether the file's last byte is among what was asked for: a download in many pieces has one such.
bool reaches_end(const downloads::Download& download) {
    struct stat info {};
    return ::fstat(download.file.get(), &info) == 0 &&
           download.offset + download.bytes == static_cast<std::uint64_t>(info.st_size);
}

class Session {
public:
    Session(Stream socket, std::string peer, Connections::Place& place, SessionDeps& deps)
        : channel_(std::move(socket), deps.config.trusted_proxies.contains(peer)
                                          ? deps.timeouts.write_to_proxy
                                          : deps.timeouts.write),
          peer_(std::move(peer)),
          place_(place),
          deps_(deps) {
        place_.on_close([this] { channel_.close(); });
    }

    Awaitable<void> run();

private:
    enum class Body { kRead, kGone, kNoRoom };
    enum class After { kNextRequest, kLinger, kClose };

    Awaitable<bool> read_head(std::string& head);
    Awaitable<Body> read_body(const RequestHead& head, Connections::Held& held, std::string& body);
    [[nodiscard]] Exchange begin_exchange(const RequestHead& head, bool last) const;
    std::optional<Response> refuse_before_body(const RequestHead& head, const Match& match,
                                               const Exchange& exchange);
    // `last`: no other request is read after this one.
    Awaitable<After> serve_one(const RequestHead& head, bool last);
    // What becomes of the connection, now that the answer is written or not.
    After after(const RequestHead& head, const Exchange& exchange);
    Awaitable<After> refuse_request(Response response, const RequestHead& head, const Match& match,
                                    Exchange& exchange);
    // Status line and headers, and what the exchange remembers of them.
    std::string begin_response(Response& response, std::uint64_t content_length,
                               const RequestHead& head, Exchange& exchange);
    Awaitable<bool> write_response(Response& response, const RequestHead& head, Exchange& exchange);
    Awaitable<bool> write_download(const RequestHead& head, Exchange& exchange);
    bool has_room_for_answer(const Exchange& exchange);
    void report_download(const RequestHead& head);
    void note(const Route* route, const RequestHead& head, const Exchange& exchange);
    Awaitable<void> refuse_head(const HeadRefusal& refusal);

    Channel channel_;
    const std::string peer_;
    Connections::Place& place_;
    SessionDeps& deps_;
    std::string buffer_;  // Read but not consumed.
};

// Up to the empty line. The rest of what came stays in buffer_. False: the peer is gone or was
// refused.
Awaitable<bool> Session::read_head(std::string& head) {
    const bool waits = buffer_.empty() && !place_.is_reserve();
    channel_.set_deadline(waits ? deps_.timeouts.idle : deps_.timeouts.head);
    std::size_t searched = 0;
    bool tolerant = true;
    for (;;) {
        // An empty line before a request is tolerated (RFC 9112, 2.2), once.
        if (tolerant && buffer_.starts_with("\r\n")) {
            buffer_.erase(0, 2);
            searched = 0;
            tolerant = false;
        }
        const std::size_t end = buffer_.find("\r\n\r\n", searched);
        const std::size_t head_bytes = end == std::string::npos ? buffer_.size() : end + 4;
        if (head_bytes > limits::kHttpHeaderBytesMax) {
            // Named, like every argument of a co_await here: g++ 12 destroys braced temporaries in
            // one twice.
            const HeadRefusal refusal{431, "Request Header Fields Too Large"};
            co_await refuse_head(refusal);
            co_return false;
        }
        if (end != std::string::npos) {
            head.assign(buffer_, 0, head_bytes);
            buffer_.erase(0, head_bytes);
            co_return true;
        }
        if (!may_become_head(buffer_, searched)) {
            const HeadRefusal refusal{
                400, "Bad request: expected HTTP without TLS, lines ending with CR and LF"};
            co_await refuse_head(refusal);
            co_return false;
        }
        searched = buffer_.size() < 3 ? 0 : buffer_.size() - 3;
        const bool first = buffer_.empty();
        if (!co_await channel_.read_more(buffer_)) co_return false;
        place_.begin_request();
        // From the first byte; most heads are whole with it.
        if (first && buffer_.find("\r\n\r\n") == std::string::npos)
            channel_.set_deadline(deps_.timeouts.head);
    }
}

Awaitable<Session::Body> Session::read_body(const RequestHead& head, Connections::Held& held,
                                            std::string& body) {
    channel_.set_deadline(deps_.timeouts.body);
    if (head.expects_continue && buffer_.empty() && head.content_length > 0) {
        constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
        if (!co_await channel_.write(kContinue)) co_return Body::kGone;
        channel_.set_deadline(deps_.timeouts.body);
    }
    const auto wanted = static_cast<std::size_t>(head.content_length);
    body = buffer_.substr(0, wanted);
    buffer_.erase(0, body.size());
    std::size_t have = body.size();
    if (!held.add(have)) co_return Body::kNoRoom;
    while (have < wanted) {
        body.resize(have + std::min(kBodyStepBytes, wanted - have));
        const std::size_t got = co_await channel_.read_some(body.data() + have, body.size() - have);
        if (got == 0) co_return Body::kGone;
        if (!held.add(got)) co_return Body::kNoRoom;
        have += got;
    }
    co_return Body::kRead;
}

Awaitable<void> Session::run() {
    for (std::size_t count = 1; count <= limits::kHttpRequestsPerConnectionMax; ++count) {
        std::string bytes;
        if (!co_await read_head(bytes)) co_return;
        place_.begin_request();
        auto head = parse_request_head(bytes, deps_.config.hosts);
        if (!head) {
            co_await refuse_head(head.error());
            co_return;
        }
        const bool last = count == limits::kHttpRequestsPerConnectionMax || place_.is_reserve();
        const After after = co_await serve_one(*head, last);
        if (after == After::kLinger) co_await channel_.linger();
        if (after != After::kNextRequest) co_return;
        place_.end_request();
    }
}

Exchange Session::begin_exchange(const RequestHead& head, bool last) const {
    Exchange exchange;
    exchange.request_id = request_id_of(head);
    exchange.traceparent = message::make_traceparent(head.header("traceparent"));
    exchange.client =
        client_address(peer_, head.header("x-forwarded-for"), deps_.config.trusted_proxies);
    exchange.is_proxy =
        is_local(exchange.client) || deps_.config.trusted_proxies.contains(exchange.client);
    exchange.keep_alive = head.keep_alive && !last;
    return exchange;
}

std::optional<Response> Session::refuse_before_body(const RequestHead& head, const Match& match,
                                                    const Exchange& exchange) {
    if (place_.is_reserve() && !is_probe(kind_of(match.route)))
        return make_error_response(503, "Too many connections");
    return refuse_early(head, match, exchange, deps_);
}

Awaitable<Session::After> Session::serve_one(const RequestHead& head, bool last) {
    Exchange exchange = begin_exchange(head, last);
    const Match match = match_route(head.method, head.path);
    if (auto refused = refuse_before_body(head, match, exchange))
        co_return co_await refuse_request(std::move(*refused), head, match, exchange);
    Connections::Held held(deps_.connections, Connections::Held::Kind::kBody, holder_of(exchange));
    std::string body;
    if (head.has_body) {
        const Body read = co_await read_body(head, held, body);
        if (read == Body::kGone) co_return After::kClose;
        if (read == Body::kNoRoom) {
            Response full = make_error_response(503, "Too many request bodies wait");
            full.close = true;
            co_return co_await refuse_request(std::move(full), head, match, exchange);
        }
    }
    channel_.clear_deadline();
    bool written = false;
    if (match.route != nullptr && match.route->kind == RouteKind::kDownload) {
        written = co_await write_download(head, exchange);
    } else {
        // What acts is refused before it does: its answer is never dropped.
        Response response;
        if (head.method == Method::kPost && !has_room_for_answer(exchange))
            response = make_error_response(503, kTooManyAnswers);
        else
            response = co_await respond(match, head, body, peer_, exchange, deps_);
        body = std::string();
        held.give_back();
        written = co_await write_response(response, head, exchange);
    }
    exchange.complete = written;
    note(match.route, head, exchange);
    co_return after(head, exchange);
}

// A client that has said it is the last request sends no other, as a rule.
Session::After Session::after(const RequestHead& head, const Exchange& exchange) {
    if (!exchange.complete) return After::kClose;
    if (exchange.keep_alive) return After::kNextRequest;
    const bool all_read = buffer_.empty() && !channel_.has_unread();
    return !head.keep_alive && all_read ? After::kClose : After::kLinger;
}

// Without the body, whose bytes are never taken for a request.
Awaitable<Session::After> Session::refuse_request(Response response, const RequestHead& head,
                                                  const Match& match, Exchange& exchange) {
    const bool unread = response.close || (head.has_body && head.content_length > 0);
    exchange.keep_alive = exchange.keep_alive && !unread;
    exchange.complete = co_await write_response(response, head, exchange);
    note(match.route, head, exchange);
    co_return unread&& exchange.complete ? After::kLinger : after(head, exchange);
}

// The access log and the metrics.
void Session::note(const Route* route, const RequestHead& head, const Exchange& exchange) {
    const auto taken = Clock::now() - exchange.started;
    deps_.metrics.count(route, exchange.status, taken);
    if (!logs(LogLevel::kInfo) ||
        !deps_.access_log.takes({kind_of(route), exchange.status, exchange.complete, taken},
                                deps_.config.access_log_sample))
        return;
    const std::string target = loggable_target(head.target);
    log_event(
        LogLevel::kInfo, "request",
        {{"status", std::int64_t{exchange.status}},
         {"method", method_name(head.method)},
         {"target", target},
         {"bytes", static_cast<std::int64_t>(exchange.bytes)},
         {"complete", std::string_view(exchange.complete ? "yes" : "no")},
         {"duration_us", std::chrono::duration_cast<std::chrono::microseconds>(taken).count()},
         {"client", exchange.client},
         {"request_id", exchange.request_id},
         {"trace_id", message::trace_id_of(exchange.traceparent)}});
}

std::string Session::begin_response(Response& response, std::uint64_t content_length,
                                    const RequestHead& head, Exchange& exchange) {
    exchange.status = response.status;
    exchange.keep_alive = exchange.keep_alive && !deps_.draining;
    add_cors_headers(head, deps_.config, response.headers);
    return encode_head(response, content_length, exchange.keep_alive,
                       {exchange.request_id, exchange.traceparent});
}

bool Session::has_room_for_answer(const Exchange& exchange) {
    return Connections::Held(deps_.connections, Connections::Held::Kind::kAnswer,
                             holder_of(exchange))
        .share_has_room();
}

Awaitable<bool> Session::write_response(Response& response, const RequestHead& head,
                                        Exchange& exchange) {
    Connections::Held held(deps_.connections, Connections::Held::Kind::kAnswer,
                           holder_of(exchange));
    if (head.method == Method::kPost)
        held.add_anyway(response.body.size());
    else if (!held.add(response.body.size()))
        response = make_error_response(503, kTooManyAnswers);
    const std::string bytes = begin_response(response, response.content().size(), head, exchange);
    const bool with_body =
        head.method != Method::kHead && response.status != 204 && response.status != 304;
    const std::string_view body = with_body ? response.content() : std::string_view();
    std::string_view head_left = bytes;
    std::string_view body_left = body;
    // Most answers go at once, and need no coroutine for it. Not while the next request is here
    // already: other connections have their turn between two.
    const bool at_once = buffer_.empty() && channel_.write_at_once(head_left, body_left);
    const bool written = at_once || co_await channel_.write(head_left, body_left);
    if (written) exchange.bytes = body.size();
    co_return written;
}

Awaitable<bool> Session::write_download(const RequestHead& head, Exchange& exchange) {
    const bool is_head = head.method == Method::kHead;
    const downloads::DownloadRequest request{head.target,
                                             head.header("range"),
                                             head.header("if-range"),
                                             head.header("if-match"),
                                             head.header("if-none-match"),
                                             head.header("if-modified-since"),
                                             head.header("if-unmodified-since"),
                                             is_head};
    const downloads::Download download = downloads::open_download(
        request, deps_.config.downloads, system_clock().unix_us() / 1'000'000);
    Response response;
    if (!download.detail.empty()) response = make_error_response(download.status, download.detail);
    response.status = download.status;
    response.headers.insert(response.headers.end(), download.headers.begin(),
                            download.headers.end());
    if (!download.file) co_return co_await write_response(response, head, exchange);
    response.content_type = download.content_type;
    const std::string bytes = begin_response(response, download.bytes, head, exchange);
    if (!co_await channel_.write(bytes)) co_return false;
    if (is_head) co_return true;
    const bool sent = co_await channel_.send_file(download.file.get(), download.offset,
                                                  download.bytes, &exchange.bytes);
    deps_.metrics.download_bytes += exchange.bytes;
    if (!sent) ++deps_.metrics.downloads_incomplete;
    if (sent && reaches_end(download)) report_download(head);
    co_return sent;
}

// So that the job remembers it. Nobody waits for the answer, and a daemon that is away misses it.
void Session::report_download(const RequestHead& head) {
    const nlohmann::json target = {{"target", head.target}};
    const std::string params = dump_msgpack(target);
    const std::string id = crypto::make_uuid7(system_clock().unix_us());
    message::Request request;
    request.id = id;
    request.method = message::method_row(message::MethodId::kReportDownload).name;
    request.deadline_ms = deps_.config.request_timeout_ms;
    request.params = params;
    deps_.daemons.tell(id, message::encode_request(request),
                       std::chrono::milliseconds(deps_.config.request_timeout_ms));
}

Awaitable<void> Session::refuse_head(const HeadRefusal& refusal) {
    Response response = make_error_response(refusal.status, refusal.detail);
    if (refusal.status == 405) response.headers.emplace_back("Allow", allow_of(refusal.path));
    ++deps_.metrics.refused_heads;
    Exchange exchange;
    exchange.request_id = crypto::make_uuid7(system_clock().unix_us());
    log_event(LogLevel::kInfo, "refused",
              {{"status", std::int64_t{refusal.status}},
               {"reason", refusal.detail},
               {"client", peer_},
               {"request_id", exchange.request_id}});
    exchange.client = peer_;
    exchange.keep_alive = false;
    RequestHead known;
    if (!refusal.origin.empty()) known.headers.emplace("origin", refusal.origin);
    if (co_await write_response(response, known, exchange)) co_await channel_.linger();
}

}  // namespace

Awaitable<void> serve(Stream socket, std::string peer, std::unique_ptr<Connections::Place> place,
                      SessionDeps& deps) {
    Session session(std::move(socket), std::move(peer), *place, deps);
    co_await session.run();
}

}  // namespace export_worker::http_shim
