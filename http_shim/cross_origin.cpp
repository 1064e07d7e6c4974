#include "http_shim/cross_origin.hpp"

#include <algorithm>
#include <string_view>

#include "base/text.hpp"
#include "http_shim/api.hpp"

namespace export_worker::http_shim {
namespace {

// What a page may send and read beside what every page may.
constexpr std::string_view kRequestHeaders =
    "Authorization, Content-Type, Idempotency-Key, If-Match, If-Modified-Since, If-None-Match, "
    "If-Range, If-Unmodified-Since, Range, traceparent, X-Organization-ID, X-Request-ID";
constexpr std::string_view kResponseHeaders =
    "Accept-Ranges, Content-Disposition, Content-Length, Content-Range, ETag, Last-Modified, "
    "Repr-Digest, Retry-After, traceparent, X-Request-ID, X-Served-By";
constexpr std::string_view kPreflightSeconds = "600";

// "https://host:port" without the scheme and the scheme's own port; empty for what is no origin.
std::string authority_of(std::string_view origin) {
    const std::size_t scheme = origin.find("://");
    if (scheme == std::string_view::npos) return {};
    return without_default_port(lower_case(origin.substr(scheme + 3)));
}

bool is_listed(std::string_view origin, const Config& config) {
    const auto& listed = config.cors_origins;
    return !origin.empty() && (std::ranges::find(listed, origin) != listed.end());
}

bool is_any(const Config& config) {
    return config.cors_origins.size() == 1 && config.cors_origins.front() == "*";
}

bool is_own_page(std::string_view origin, const RequestHead& head, const Config& config) {
    const std::string authority = authority_of(origin);
    if (authority.empty()) return false;
    return config.hosts.empty() ? authority == without_default_port(lower_case(head.header("host")))
                                : is_accepted_host(authority, config.hosts);
}

}  // namespace

std::optional<Response> refuse_cross_site(const RequestHead& head, const Config& config) {
    if (head.method != Method::kPost || credential_of(head).kind != Credential::Kind::kCookie)
        return std::nullopt;
    const std::string_view origin = head.header("origin");
    const bool good = origin.empty()
                          ? head.header("sec-fetch-site") == "same-origin"
                          : is_own_page(origin, head, config) || is_listed(origin, config);
    if (good) return std::nullopt;
    return make_error_response(
        403,
        "Cross-site request: with the session cookie, send the Origin of this "
        "site's own pages, or send the session as Authorization: Bearer");
}

std::optional<Response> answer_preflight(const RequestHead& head, const Match& match,
                                         const Config& config) {
    const std::string_view origin = head.header("origin");
    const bool asks = head.method == Method::kOptions && !origin.empty() &&
                      !head.header("access-control-request-method").empty();
    if (!asks || match.allow.empty() || !(is_any(config) || is_listed(origin, config)))
        return std::nullopt;
    Response response;
    response.status = 204;
    response.headers = {{"Allow", std::string(match.allow)},
                        {"Access-Control-Allow-Methods", std::string(match.allow)},
                        {"Access-Control-Allow-Headers", std::string(kRequestHeaders)},
                        {"Access-Control-Max-Age", std::string(kPreflightSeconds)}};
    return response;
}

void add_cors_headers(const RequestHead& head, const Config& config,
                      std::vector<std::pair<std::string, std::string>>& headers) {
    if (config.cors_origins.empty()) return;
    const bool any = is_any(config);
    if (!any) headers.emplace_back("Vary", "Origin");
    const std::string_view origin = head.header("origin");
    if (origin.empty() || !(any || is_listed(origin, config))) return;
    headers.emplace_back("Access-Control-Allow-Origin", any ? "*" : origin);
    // "*" never means the cookie.
    if (!any) headers.emplace_back("Access-Control-Allow-Credentials", "true");
    headers.emplace_back("Access-Control-Expose-Headers", kResponseHeaders);
}

}  // namespace export_worker::http_shim
