#include "http_shim/request_head.hpp"

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <boost/asio/buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/parser.hpp>

#include "base/redact.hpp"
#include "base/text.hpp"
#include "http_shim/limits.hpp"
#include "signing/local_link.hpp"

namespace export_worker::http_shim {
namespace {

namespace http = boost::beast::http;
using Parser = http::request_parser<http::empty_body>;

tl::unexpected<HeadRefusal> head_refusal(int status, std::string detail) {
    return tl::unexpected(HeadRefusal{status, std::move(detail)});
}
std::string_view view_of(boost::beast::string_view text) {
    return {text.data(), text.size()};
}

bool is_for_probes(std::string_view path) {
    return path == "/livez" || path == "/readyz" || path == "/metrics";
}

// What the parser would hide from us: a field that continues on the next line.
bool has_folded_line(std::string_view bytes) {
    for (std::size_t at = bytes.find("\r\n"); at != std::string_view::npos;
         at = bytes.find("\r\n", at + 2)) {
        if (at + 2 < bytes.size() && (bytes[at + 2] == ' ' || bytes[at + 2] == '\t')) return true;
    }
    return false;
}

tl::expected<void, HeadRefusal> check_method(const Parser::value_type& request, RequestHead& head) {
    switch (request.method()) {
        case http::verb::get: head.method = Method::kGet; return {};
        case http::verb::head: head.method = Method::kHead; return {};
        case http::verb::post: head.method = Method::kPost; return {};
        case http::verb::options: head.method = Method::kOptions; return {};
        case http::verb::unknown: return head_refusal(501, "Method not implemented");
        default: return head_refusal(405, "Method Not Allowed");
    }
}

// The absolute form (RFC 9112, 3.2.2) in the name that Host has, too; nullopt for anything else.
std::optional<std::string_view> without_authority(std::string_view target, std::string_view host) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (lower_case(target.substr(0, scheme.size())) != scheme) continue;
        target.remove_prefix(scheme.size());
        const std::size_t end = std::min(target.find_first_of("/?"), target.size());
        if (host.empty() || lower_case(target.substr(0, end)) != lower_case(host))
            return std::nullopt;
        target.remove_prefix(end);
        if (target.starts_with('?')) return std::nullopt;
        return target;
    }
    return std::nullopt;
}

tl::expected<void, HeadRefusal> check_target(std::string_view target, RequestHead& head) {
    if (target == "*" && head.method == Method::kOptions) {
        head.target = target;
        return {};
    }
    if (!target.starts_with('/')) {
        const auto path_of = without_authority(target, head.header("host"));
        if (!path_of)
            return head_refusal(400, "Bad request: expected a path, or http:// with the Host");
        return check_target(path_of->empty() ? "/" : *path_of, head);
    }
    if (const auto good = signing::check_request_target(target); !good) {
        if (good.error().code == ErrorCode::kResourceExhausted)
            return head_refusal(414, "URI Too Long");
        return head_refusal(400, "Bad request: " + good.error().message);
    }
    const std::size_t mark = std::min(target.find('?'), target.size());
    const std::string_view path = target.substr(0, mark);
    head.target = target;
    head.path = path;
    head.query = mark < target.size() ? target.substr(mark + 1) : std::string_view();
    return {};
}

tl::expected<void, HeadRefusal> check_length(std::string_view value, RequestHead& head) {
    const auto length = parse_unsigned(value);
    if (!length) return head_refusal(400, "Bad request: Content-Length: expected digits");
    if (head.method != Method::kPost && *length > 0)
        return head_refusal(400, "Bad request: a body on a method without one");
    if (*length > limits::kHttpBodyBytesMax) {
        return head_refusal(413, "Request body: expected at most " +
                                     std::to_string(limits::kHttpBodyBytesMax) + " bytes");
    }
    head.content_length = *length;
    head.has_body = true;
    return {};
}

tl::expected<void, HeadRefusal> check_host(const Parser::value_type& request,
                                           const std::vector<std::string>& hosts,
                                           const RequestHead& head) {
    // HTTP/1.0 has no Host; load balancers still ask for their probes in it.
    const bool named = head.headers.contains("host");
    if (!named && request.version() != 10) return head_refusal(400, "Bad request: no Host");
    constexpr std::string_view kHostBytes =
        "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~:[]";
    if (head.header("host").find_first_not_of(kHostBytes) != std::string_view::npos)
        return head_refusal(400, "Bad request: Host: expected a name or an address");
    if (is_for_probes(head.path) || is_accepted_host(head.header("host"), hosts)) return {};
    return head_refusal(421, "Misdirected Request: this host is not served here");
}

tl::expected<void, HeadRefusal> check_fields(const Parser::value_type& request, RequestHead& head) {
    // At most once each: with two, a proxy may have looked at the other one.
    constexpr std::array<std::string_view, 19> kSingle{"host",
                                                       "content-length",
                                                       "content-type",
                                                       "authorization",
                                                       "cookie",
                                                       "x-organization-id",
                                                       "origin",
                                                       "sec-fetch-site",
                                                       "access-control-request-method",
                                                       "range",
                                                       "if-range",
                                                       "if-none-match",
                                                       "expect",
                                                       "x-request-id",
                                                       "if-match",
                                                       "if-modified-since",
                                                       "if-unmodified-since",
                                                       "traceparent",
                                                       "idempotency-key"};
    std::size_t count = 0;
    for (const auto& field : request) {
        if (++count > limits::kHttpHeaderFieldsMax)
            return head_refusal(431, "Request Header Fields Too Large");
        const std::string name = lower_case(view_of(field.name_string()));
        const std::string_view value = view_of(field.value());
        if (name == "transfer-encoding")
            return head_refusal(411, "Length Required: send Content-Length, not Transfer-Encoding");
        if (name == "x-forwarded-for" || name == "forwarded") {
            // A list, which may be spread over several fields.
            std::string& list = head.headers[name];
            list += (list.empty() ? "" : ",") + std::string(value);
        }
        if (std::ranges::find(kSingle, name) == kSingle.end()) continue;
        if (!head.headers.emplace(name, value).second)
            return head_refusal(400, "Bad request: " + name + " given twice");
    }
    if (head.headers.contains("content-length")) {
        if (auto good = check_length(head.header("content-length"), head); !good) return good;
    }
    if (const std::string_view expect = head.header("expect"); !expect.empty()) {
        if (lower_case(expect) != "100-continue") return head_refusal(417, "Expectation Failed");
        head.expects_continue = true;
    }
    return {};
}

tl::expected<void, HeadRefusal> check_head(const Parser::value_type& request,
                                           const std::vector<std::string>& hosts,
                                           RequestHead& head) {
    if (auto good = check_method(request, head); !good) return good;
    if (auto good = check_fields(request, head); !good) return good;
    if (auto good = check_target(view_of(request.target()), head); !good) return good;
    return check_host(request, hosts, head);
}

// With what the answer says of the request.
HeadRefusal with_request(HeadRefusal refusal, const Parser::value_type& request) {
    if (request.count(http::field::origin) == 1)
        refusal.origin = view_of(request[http::field::origin]);
    RequestHead target;
    if (refusal.status == 405 && check_target(view_of(request.target()), target))
        refusal.path = std::move(target.path);
    return refusal;
}

}  // namespace

std::string lower_case(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
    return out;
}

std::string without_default_port(std::string authority) {
    for (const std::string_view port : {":80", ":443"}) {
        if (authority.ends_with(port)) return authority.substr(0, authority.size() - port.size());
    }
    return authority;
}

bool is_accepted_host(std::string_view host, const std::vector<std::string>& hosts) {
    if (hosts.empty()) return true;
    const std::string given = lower_case(host);
    const std::string name = given.substr(0, given.find(':', given.rfind(']') + 1));
    return std::ranges::any_of(hosts, [&](const std::string& each) {
        return lower_case(each) == given || lower_case(each) == name;
    });
}

std::string loggable_target(std::string_view target) {
    constexpr std::array<std::string_view, 11> kShown{"after",  "expires", "filename", "job_type",
                                                      "key",    "limit",   "offset",   "sha256",
                                                      "status", "store",   "type"};
    const std::size_t mark = std::min(target.find('?'), target.size());
    std::string out(target.substr(0, mark));
    if (holds_credential(out)) out = "/REDACTED";
    for (std::size_t at = mark; at < target.size();) {
        const std::size_t end = std::min(target.find('&', at + 1), target.size());
        const std::string_view pair = target.substr(at + 1, end - at - 1);
        const std::string_view name = pair.substr(0, pair.find('='));
        out += target[at];
        const bool shown =
            std::ranges::find(kShown, name) != kShown.end() && !holds_credential(pair);
        if (shown || pair.empty()) {
            out += pair;
        } else {
            out += name.size() <= 32 && !holds_credential(name) ? std::string(name) + "=REDACTED"
                                                                : "REDACTED";
        }
        at = end;
    }
    return out;
}

bool may_become_head(std::string_view bytes, std::size_t from) {
    if (!bytes.empty() && static_cast<unsigned char>(bytes[0]) < 0x20 && bytes[0] != '\r')
        return false;
    for (std::size_t at = bytes.find('\n', from); at != std::string_view::npos;
         at = bytes.find('\n', at + 1)) {
        if (at == 0 || bytes[at - 1] != '\r') return false;
    }
    return true;
}

tl::expected<RequestHead, HeadRefusal> parse_request_head(std::string_view bytes,
                                                          const std::vector<std::string>& hosts) {
    if (has_folded_line(bytes)) return head_refusal(400, "Bad request: a folded header line");
    Parser parser;
    parser.header_limit(static_cast<std::uint32_t>(limits::kHttpHeaderBytesMax));
    parser.body_limit(std::numeric_limits<std::uint64_t>::max());  // check_length() has the bound,
                                                                   // and words for it.
    boost::beast::error_code error;
    parser.put(boost::asio::buffer(bytes.data(), bytes.size()), error);
    if (error || !parser.is_header_done())
        return head_refusal(400, "Bad request: not an HTTP/1.1 request");
    const Parser::value_type& request = parser.get();
    RequestHead head;
    if (auto good = check_head(request, hosts, head); !good)
        return tl::unexpected(with_request(std::move(good.error()), request));
    // HTTP/1.0 connections are never kept: whether its peers mean it is anybody's guess.
    head.keep_alive = request.version() == 11 && request.keep_alive();
    return head;
}

}  // namespace export_worker::http_shim
