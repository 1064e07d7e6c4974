#include "http_shim/session.hpp"

#include <spdlog/spdlog.h>
#include <sys/sendfile.h>

#include <cerrno>
#include <memory>
#include <optional>
#include <boost/asio/post.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <nlohmann/json.hpp>

#include "base/clock.hpp"
#include "base/crypto/uuid.hpp"
#include "base/limits.hpp"
#include "base/log.hpp"
#include "http_shim/api.hpp"
#include "http_shim/download.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/response.hpp"
#include "http_shim/routes.hpp"
#include "protocol/message/request.hpp"

namespace export_worker::http_shim {

extern const std::string_view kOpenapiJson;  // Made from openapi.json by cmake/embed.cmake.

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::redirect_error;
using asio::use_awaitable;
using asio::ip::tcp;
using boost::system::error_code;

constexpr std::size_t kReadChunkBytes = 4096;
constexpr std::size_t kSendChunkBytes =
    64 * 1024;  // Each within kHttpWriteTimeout: about 2 KiB a second at least.

const char* method_name(Method method) {
    switch (method) {
        case Method::kGet: return "GET";
        case Method::kHead: return "HEAD";
        case Method::kPost: return "POST";
        case Method::kOptions: return "OPTIONS";
    }
    return "?";
}

class Session {
public:
    Session(tcp::socket socket, SessionParts& parts)
        : socket_(std::move(socket)), timer_(socket_.get_executor()), parts_(parts) {}

    awaitable<void> run();

private:
    // Absolute: the socket is closed when it passes, whatever trickles in meanwhile.
    void set_deadline(std::chrono::seconds time);
    void clear_deadline() { timer_.cancel(); }

    awaitable<bool> read_head(std::string& head);
    awaitable<bool> read_body(const RequestHead& head, std::string& body);
    awaitable<bool> serve_one(const RequestHead& head);
    awaitable<Response> call_daemon(const Match& match, const RequestHead& head,
                                    const std::string& body, const std::string& request_id);
    awaitable<Result<std::string>> wait_for_reply(const std::string& id,
                                                  const std::string& message);
    awaitable<Response> ready(const std::string& request_id);
    awaitable<bool> write_response(const Response& response, bool is_head, bool keep_alive,
                                   std::string_view request_id);
    awaitable<bool> write_download(const RequestHead& head, std::string_view request_id,
                                   bool keep_alive, int& status);
    awaitable<bool> send_file(const Download& download);
    void report_download(const RequestHead& head);
    awaitable<void> refuse(const HeadRefusal& refusal);
    awaitable<void> linger();

    tcp::socket socket_;
    asio::steady_timer timer_;
    SessionParts& parts_;
    std::string buffer_;  // Read but not consumed.
    std::shared_ptr<Session*> self_ =
        std::make_shared<Session*>(this);  // Tells the timer that we still exist.
};

void Session::set_deadline(std::chrono::seconds time) {
    timer_.expires_after(time);
    timer_.async_wait([weak = std::weak_ptr<Session*>(self_)](const error_code& error) {
        const auto self = weak.lock();
        // Can fire late: the session may be over, or a newer deadline may have been set in the
        // meantime.
        if (error || !self || (*self)->timer_.expiry() > std::chrono::steady_clock::now()) return;
        error_code ignored;
        (*self)->socket_.close(ignored);
    });
}

// Up to the empty line. The rest of what came stays in buffer_. False: the peer is gone or was
// refused.
awaitable<bool> Session::read_head(std::string& head) {
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
        char chunk[kReadChunkBytes];
        error_code error;
        const std::size_t got = co_await socket_.async_read_some(
            asio::buffer(chunk), redirect_error(use_awaitable, error));
        if (error) co_return false;
        if (buffer_.empty()) set_deadline(limits::kHttpHeaderTimeout);
        buffer_.append(chunk, got);
        // An empty line before a request is tolerated (RFC 9112, 2.2), once.
        if (buffer_.starts_with("\r\n") && searched == 0) buffer_.erase(0, 2);
    }
}

awaitable<bool> Session::read_body(const RequestHead& head, std::string& body) {
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

awaitable<void> Session::run() {
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
awaitable<bool> Session::serve_one(const RequestHead& head) {
    std::string body;
    if (head.has_body) {
        if (!co_await read_body(head, body)) co_return false;
    }
    clear_deadline();
    const auto started = std::chrono::steady_clock::now();
    const std::string request_id = request_id_of(head);
    const bool keep_alive = head.keep_alive && !parts_.draining;
    const Match match = match_route(head.method, head.path);
    Response response;
    bool written = false;
    int status = 0;
    if (head.method == Method::kOptions && (head.target == "*" || !match.allow.empty())) {
        response.status = 204;
        response.headers.emplace_back(
            "Allow", match.allow.empty() ? "GET, HEAD, POST, OPTIONS" : match.allow);
    } else if (match.route == nullptr && !match.allow.empty()) {
        response = make_error_response(405, "Method Not Allowed");
        response.headers.emplace_back("Allow", match.allow);
    } else if (match.route == nullptr) {
        response = make_error_response(404, "Not Found");
    } else if (match.route->kind == RouteKind::kDownload) {
        written = co_await write_download(head, request_id, keep_alive, status);
    } else if (match.route->kind == RouteKind::kCall) {
        response = co_await call_daemon(match, head, body, request_id);
    } else if (match.route->kind == RouteKind::kReadyz) {
        response = co_await ready(request_id);
    } else if (match.route->kind == RouteKind::kOpenapi) {
        response.body = kOpenapiJson;
    } else {
        response.body = R"({"status":"alive"})";
    }
    if (status == 0) {
        status = response.status;
        written =
            co_await write_response(response, head.method == Method::kHead, keep_alive, request_id);
    }
    const auto taken = std::chrono::duration_cast<std::chrono::microseconds>(
        std::chrono::steady_clock::now() - started);
    spdlog::info("{} {} {} {}us id={}", status, method_name(head.method), redact_url(head.target),
                 taken.count(), request_id);
    co_return (written && keep_alive);
}

awaitable<Response> Session::call_daemon(const Match& match, const RequestHead& head,
                                         const std::string& body, const std::string& request_id) {
    const std::string id = request_id + "." + std::to_string(++parts_.calls);
    const auto message = make_message(match, head, body, id, parts_.config.request_timeout_ms);
    if (!message) co_return message.error();
    const Result<std::string> reply = co_await wait_for_reply(id, *message);
    co_return make_response(match, reply);
}

awaitable<Response> Session::ready(const std::string& request_id) {
    static const Route ping{Method::kGet, "/readyz", RouteKind::kCall, "sys.ping"};
    const Match match{&ping, {}, {}};
    const std::string id = request_id + "." + std::to_string(++parts_.calls);
    const auto message = make_message(match, RequestHead(), {}, id, 1000);
    const Result<std::string> reply = co_await wait_for_reply(id, *message);
    Response response = make_response(match, reply);
    if (response.status == 200) response.body = R"({"status":"ready"})";
    co_return response;
}

// The link answers on its own thread; its answer is posted here and wakes the timer this coroutine
// sleeps on.
awaitable<Result<std::string>> Session::wait_for_reply(const std::string& id,
                                                       const std::string& message) {
    struct Waiter {
        explicit Waiter(const asio::any_io_executor& executor)
            : wake(executor, asio::steady_timer::time_point::max()) {}
        asio::steady_timer wake;
        std::optional<Result<std::string>> reply;
    };
    const auto waiter = std::make_shared<Waiter>(socket_.get_executor());
    const asio::any_io_executor executor = socket_.get_executor();
    parts_.link.call(id, message,
                     // The daemon's own deadline answer should win against ours.
                     std::chrono::milliseconds(parts_.config.request_timeout_ms + 250),
                     [waiter, executor](Result<std::string> reply) {
                         asio::post(executor, [waiter, reply = std::move(reply)]() mutable {
                             waiter->reply = std::move(reply);
                             waiter->wake.cancel();
                         });
                     });
    while (!waiter->reply) {
        error_code ignored;
        co_await waiter->wake.async_wait(redirect_error(use_awaitable, ignored));
    }
    co_return std::move(*waiter->reply);
}

awaitable<bool> Session::write_response(const Response& response, bool is_head, bool keep_alive,
                                        std::string_view request_id) {
    set_deadline(limits::kHttpWriteTimeout);
    std::string bytes =
        encode_head(response, response.body.size(), keep_alive && !response.close, request_id);
    if (!is_head && response.status != 204 && response.status != 304) bytes += response.body;
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(bytes), redirect_error(use_awaitable, error));
    co_return !error && !response.close;
}

awaitable<bool> Session::write_download(const RequestHead& head, std::string_view request_id,
                                        bool keep_alive, int& status) {
    const Download download =
        open_download(head, parts_.config.downloads, system_clock().unix_us() / 1'000'000);
    status = download.response.status;
    const bool is_head = head.method == Method::kHead;
    if (!download.file)
        co_return co_await write_response(download.response, is_head, keep_alive, request_id);
    set_deadline(limits::kHttpWriteTimeout);
    const std::string bytes =
        encode_head(download.response, download.bytes, keep_alive, request_id);
    error_code error;
    co_await asio::async_write(socket_, asio::buffer(bytes), redirect_error(use_awaitable, error));
    if (error) co_return false;
    if (is_head) co_return true;
    const bool sent = co_await send_file(download);
    if (sent) report_download(head);
    co_return sent;
}

// So that the job remembers it. Nobody waits for the answer, and a daemon that is away misses it.
void Session::report_download(const RequestHead& head) {
    std::string params;
    const nlohmann::json target = {{"target", head.target}};
    nlohmann::json::to_msgpack(target, params);
    const std::string id = crypto::make_uuid7(system_clock().unix_us());
    message::Request request;
    request.id = id;
    request.method = "downloads.report";
    request.deadline_ms = parts_.config.request_timeout_ms;
    request.params = params;
    parts_.link.call(id, message::encode_request(request),
                     std::chrono::milliseconds(parts_.config.request_timeout_ms),
                     [](const Result<std::string>&) {});
}

// The kernel copies from file to socket. A file that turns out shorter than it was ends the
// connection: the client sees a truncated body instead of a wrong one.
awaitable<bool> Session::send_file(const Download& download) {
    auto offset = static_cast<off_t>(download.offset);
    std::uint64_t left = download.bytes;
    error_code error;
    socket_.native_non_blocking(true, error);
    while (left > 0 && !error) {
        const std::size_t chunk =
            static_cast<std::size_t>(std::min<std::uint64_t>(left, kSendChunkBytes));
        const ssize_t sent =
            ::sendfile(socket_.native_handle(), download.file.get(), &offset, chunk);
        if (sent > 0) {
            left -= static_cast<std::uint64_t>(sent);
            set_deadline(limits::kHttpWriteTimeout);
        } else if (sent < 0 && errno == EAGAIN) {
            co_await socket_.async_wait(tcp::socket::wait_write,
                                        redirect_error(use_awaitable, error));
        } else if (sent == 0 || errno != EINTR) {
            co_return false;
        }
    }
    co_return !error;
}

awaitable<void> Session::refuse(const HeadRefusal& refusal) {
    Response response = make_error_response(refusal.status, refusal.detail);
    response.close = true;
    if (!refusal.allow.empty()) response.headers.emplace_back("Allow", refusal.allow);
    spdlog::info("{} refused: {}", refusal.status, refusal.detail);
    co_await write_response(response, false, false, {});
    co_await linger();
}

// Closing with unread bytes makes the kernel send a reset, and the client may never see the answer:
// say that we are done, then read what is still coming for a moment.
awaitable<void> Session::linger() {
    error_code error;
    socket_.shutdown(tcp::socket::shutdown_send, error);
    set_deadline(std::chrono::seconds(1));
    char sink[kReadChunkBytes];
    for (int rounds = 0; rounds < 256 && !error; ++rounds) {
        co_await socket_.async_read_some(asio::buffer(sink), redirect_error(use_awaitable, error));
    }
}

}  // namespace

awaitable<void> serve(tcp::socket socket, SessionParts& parts) {
    ++parts.connections;
    {
        Session session(std::move(socket), parts);
        co_await session.run();
    }
    --parts.connections;
}

}  // namespace export_worker::http_shim
