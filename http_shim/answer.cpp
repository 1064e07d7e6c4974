#include "http_shim/answer.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "base/address_list.hpp"
#include "base/crypto/sha256.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "http_shim/api.hpp"
#include "http_shim/cross_origin.hpp"
#include "protocol/client/limits.hpp"

namespace export_worker::http_shim {

// Made by cmake/embed.cmake.
extern const std::string_view kOpenapiJson;
extern const std::string_view kDocsHtml;

namespace {

std::uint64_t hash_of(std::string_view text) {
    const crypto::Sha256Digest digest = crypto::sha256(text);
    std::uint64_t out = 0;
    std::memcpy(&out, digest.data(), sizeof out);
    return out;
}

std::optional<Response> refuse_rate(const RequestHead& head, const Exchange& exchange,
                                    SessionDeps& deps) {
    const auto now = Clock::now();
    std::optional<std::chrono::nanoseconds> wait;
    // A proxy on this machine that is not in trusted_proxies speaks for everybody.
    if (deps.config.address_rate > 0 && !is_local(exchange.client))
        wait = deps.by_address.take(hash_of(limit_group(exchange.client)), now);
    if (!wait && deps.config.credential_rate > 0) {
        const std::string_view credential = credential_of(head).value;
        if (!credential.empty()) wait = deps.by_credential.take(hash_of(credential), now);
    }
    if (!wait) return std::nullopt;
    ++deps.metrics.rate_limited;
    return make_later_response(429, "Too many requests", *wait);
}

Awaitable<Response> call_daemon(const Match& match, const RequestHead& head,
                                const std::string& body, const Exchange& exchange,
                                SessionDeps& deps, std::uint32_t deadline_ms) {
    std::string id;
    id.reserve(exchange.request_id.size() + 21);
    id.append(exchange.request_id).append(".").append(std::to_string(++deps.calls));
    auto message =
        make_message(match, head, body, {id, exchange.traceparent, deadline_ms, exchange.client});
    if (!message) co_return message.error();
    const auto sent = Clock::now();
    // The daemon's own deadline answer should win against ours.
    const std::chrono::milliseconds timeout(deadline_ms + 250);
    const Result<std::string> reply =
        co_await deps.daemons.ask(std::move(id), std::move(*message), timeout);
    deps.metrics.count_daemon_call(Clock::now() - sent);
    co_return make_response(match, reply);
}

// The names of the alarms in the result of sys.ping, and of the shim's own, as JSON; empty: there
// are none.
std::string alarms_of(const std::string& ping_result, const ShimMetrics& metrics) {
    const nlohmann::json result = parse_json(ping_result);
    const auto found = result.find("alarms");
    nlohmann::json alarms =
        found != result.end() && found->is_array() ? *found : nlohmann::json::array();
    if (!metrics.configuration_good) alarms.push_back("shim_configuration");
    return alarms.empty() ? "" : dump_json(alarms);
}

Awaitable<Response> ready(const Exchange& exchange, SessionDeps& deps) {
    static const Route ping{Method::kGet, "/readyz", RouteKind::kCall,
                            &message::method_row(message::MethodId::kPing)};
    const Match match{&ping, {}, {}};
    if (deps.draining) co_return make_error_response(503, "The shim is shutting down");
    auto states = deps.daemons.states();
    if (std::ranges::none_of(states, client::is_ready))
        co_return make_error_response(503, client::why_not_ready(states));
    const RequestHead head;
    const std::string body;
    // No longer than the pool waits: what it would call silent is not ready.
    Response response =
        co_await call_daemon(match, head, body, exchange, deps,
                             static_cast<std::uint32_t>(limits::kPoolPingTimeout.count()));
    if (response.status == 200) {
        // Daemons with a job registry of their own: not asked while the first one's is there.
        const auto standby = std::ranges::count_if(
            states, [](const auto& daemon) { return daemon.answers && !daemon.in_use; });
        const std::string alarms = alarms_of(response.body, deps.metrics);
        response.body = R"({"status":"ready")";
        if (standby > 0) response.body += ",\"standby\":" + std::to_string(standby);
        if (!alarms.empty()) response.body += ",\"alarms\":" + alarms;
        response.body += '}';
    } else {
        // Sooner than the pool has found out.
        for (auto& daemon : states) daemon.answers = daemon.answers && !daemon.in_use;
        response = make_error_response(503, client::why_not_ready(states));
    }
    co_return response;
}

// A request that somebody else hands on is judged by whom a trusted proxy names, never by the
// proxy.
bool may_see_metrics(const RequestHead& head, const std::string& peer, const Config& config) {
    return is_listed_client({peer, head.header("x-forwarded-for"), head.header("forwarded")},
                            config.trusted_proxies, config.metrics_from);
}

Response allow(std::string_view methods) {
    Response response;
    response.status = 204;
    response.headers.emplace_back("Allow", methods);
    return response;
}

Response not_found(const Match& match, const RequestHead& head) {
    if (!match.allow.empty()) {
        Response response = make_error_response(405, "Method Not Allowed");
        response.headers.emplace_back("Allow", match.allow);
        return response;
    }
    if (auto redirect = redirect_slash(head)) return *redirect;
    return make_error_response(404, "Not Found");
}

// Nobody else is asked.
Awaitable<Response> answer_here(const Match& match, const RequestHead& head,
                                const std::string& peer, SessionDeps& deps) {
    if (head.method == Method::kOptions) {
        if (auto preflight = answer_preflight(head, match, deps.config)) co_return *preflight;
        if (head.target == "*") co_return allow("GET, HEAD, POST, OPTIONS");
        if (!match.allow.empty()) co_return allow(match.allow);
    }
    if (match.route == nullptr) co_return not_found(match, head);
    Response response;
    switch (match.route->kind) {
        case RouteKind::kLivez: response.body = R"({"status":"alive"})"; co_return response;
        case RouteKind::kOpenapi: response.document = kOpenapiJson; co_return response;
        case RouteKind::kDocs:
            if (deps.config.docs) co_return make_docs_response(kDocsHtml);
            break;
        case RouteKind::kMetrics:
            if (may_see_metrics(head, peer, deps.config)) {
                response.content_type = "text/plain; version=0.0.4; charset=utf-8";
                response.body =
                    deps.metrics
                        .page(deps.connections, deps.config.downloads, deps.daemons.states())
                        .text();
                co_return response;
            }
            break;
        case RouteKind::kCall:
        case RouteKind::kReadyz:
        case RouteKind::kDownload:
        case RouteKind::kNone: break;
    }
    co_return make_error_response(404, "Not Found");
}

}  // namespace

std::optional<Response> refuse_early(const RequestHead& head, const Match& match,
                                     const Exchange& exchange, SessionDeps& deps) {
    if (auto refused = refuse_cross_site(head, deps.config)) return refused;
    if (auto refused = refuse_rate(head, exchange, deps)) return refused;
    if (!head.has_body) return std::nullopt;
    if (match.route == nullptr || match.route->kind != RouteKind::kCall)
        return head.content_length > 0 ? std::optional(not_found(match, head)) : std::nullopt;
    if (auto refused = refuse_credential(credential_of(head))) return refused;
    return refuse_content_type(head);
}

Awaitable<Response> respond(const Match& match, const RequestHead& head, const std::string& body,
                            const std::string& peer, const Exchange& exchange, SessionDeps& deps) {
    const RouteKind kind = match.route == nullptr ? RouteKind::kNone : match.route->kind;
    if (kind == RouteKind::kCall)
        return call_daemon(match, head, body, exchange, deps, deps.config.request_timeout_ms);
    if (kind == RouteKind::kReadyz) return ready(exchange, deps);
    return answer_here(match, head, peer, deps);
}

}  // namespace export_worker::http_shim
