#include "http_shim/response.hpp"

#include <ctime>
#include <boost/beast/http/status.hpp>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "http_shim/limits.hpp"

namespace export_worker::http_shim {
namespace {

using message::WireCode;
using nlohmann::json;

std::string dump(const json& value) {
    return dump_json(value);
}

void add_retry_after(Response& response, const message::WireError& error) {
    const auto seconds = error.retry_after_ms
                             ? (std::uint64_t{*error.retry_after_ms} + 999) / 1000
                             : static_cast<std::uint64_t>(limits::kHttpRetryAfterSeconds);
    response.headers.emplace_back("Retry-After",
                                  std::to_string(std::max<std::uint64_t>(1, seconds)));
}

// Of now (RFC 9110, 5.6.7), made once a second.
const std::string& http_date() {
    thread_local std::time_t made_at = 0;
    thread_local std::string text;
    const std::time_t now = system_clock().unix_us() / 1'000'000;
    if (now != made_at) {
        std::tm parts{};
        ::gmtime_r(&now, &parts);
        char bytes[40];
        text.assign(bytes, std::strftime(bytes, sizeof bytes, "%a, %d %b %Y %H:%M:%S GMT", &parts));
        made_at = now;
    }
    return text;
}

}  // namespace

Response make_error_response(int status, std::string_view detail) {
    Response response;
    response.status = status;
    response.body = dump({{"detail", detail}});
    if (status == 503)
        response.headers.emplace_back("Retry-After",
                                      std::to_string(limits::kHttpRetryAfterSeconds));
    return response;
}

Response make_later_response(int status, std::string_view detail, std::chrono::nanoseconds wait) {
    Response response = make_error_response(status, detail);
    const auto seconds = std::chrono::ceil<std::chrono::seconds>(wait).count();
    response.headers = {{"Retry-After", std::to_string(std::max<std::int64_t>(1, seconds))}};
    return response;
}

Response make_docs_response(std::string_view html) {
    Response response;
    response.content_type = "text/html; charset=utf-8";
    response.document = html;
    response.headers = {
        {"Content-Security-Policy",
         "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src "
         "'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"},
        {"Referrer-Policy", "no-referrer"}};
    return response;
}

Response make_validation_response(const std::vector<std::string>& loc, std::string_view message,
                                  std::string_view type) {
    Response response;
    response.status = 422;
    response.body =
        dump({{"detail", json::array({{{"loc", loc}, {"msg", message}, {"type", type}}})}});
    return response;
}

Response make_wire_error_response(const message::WireError& error, std::string_view loc) {
    if (error.code == WireCode::kInvalidArgument) {
        std::vector<std::string> where{std::string(loc)};
        std::string_view text = error.message;
        if (!error.field.empty()) {
            where.push_back(error.field);
            if (message::field_of(text) == error.field) text.remove_prefix(error.field.size() + 2);
        }
        return make_validation_response(where, text);
    }
    // A route whose method nobody answers is a daemon without its plugin, not a wrong URL.
    const bool incomplete = error.code == WireCode::kUnknownMethod;
    const int status = incomplete ? 503 : message::http_status(error.code);
    Response response =
        make_error_response(status, incomplete ? "Service temporarily unavailable" : error.message);
    response.headers.clear();
    if (status == 401) response.headers.emplace_back("WWW-Authenticate", "Bearer");
    // What may have been done is not to be done again by itself.
    const bool unknown = error.executed == message::Executed::kUnknown;
    if ((status == 503 || status == 429) && !unknown) add_retry_after(response, error);
    return response;
}

std::string encode_head(const Response& response, std::uint64_t content_length, bool keep_alive,
                        const ExchangeIds& ids) {
    std::string out;
    out.reserve(512);
    out += "HTTP/1.1 " + std::to_string(response.status) + " ";
    // Clients may ignore it (RFC 9112, 4).
    namespace http = boost::beast::http;
    const auto reason =
        http::obsolete_reason(http::int_to_status(static_cast<unsigned>(response.status)));
    out.append(reason.data(), reason.size());
    out += "\r\n";
    const auto add = [&](std::string_view name, std::string_view value) {
        out += name;
        out += ": ";
        out += value;
        out += "\r\n";
    };
    bool has_cache_control = false;
    for (const auto& [name, value] : response.headers) {
        add(name, value);
        has_cache_control = has_cache_control || name == "Cache-Control";
    }
    if (response.status != 204 && response.status != 304) {
        add("Content-Type", response.content_type);
        add("Content-Length", std::to_string(content_length));
    }
    if (!has_cache_control) add("Cache-Control", "no-store");
    add("X-Content-Type-Options", "nosniff");
    add("X-Request-ID", ids.request_id);
    if (!ids.traceparent.empty()) add("traceparent", ids.traceparent);
    add("Date", http_date());
    // A little less than we wait: a request should not meet our close.
    static const std::string kKeepAlive =
        "timeout=" + std::to_string((limits::kHttpIdleTimeout - limits::kHttpIdleMargin).count());
    add(keep_alive ? "Keep-Alive" : "Connection", keep_alive ? kKeepAlive : "close");
    out += "\r\n";
    return out;
}

}  // namespace export_worker::http_shim
