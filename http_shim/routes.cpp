#include "http_shim/routes.hpp"

#include <algorithm>
#include <array>
#include <optional>

#include "signing/percent_encoding.hpp"

namespace export_worker::http_shim {
namespace {

constexpr const message::WireMethod* row(message::MethodId id) {
    return &message::method_row(id);
}

constexpr auto kRoutes = [] {
    using enum message::MethodId;
    return std::to_array<Route>({
        {Method::kGet, "/api/products/export/{job_id}/download-url", RouteKind::kCall,
         row(kGetDownloadUrl)},
        {Method::kPost, "/api/products/export-async", RouteKind::kCall, row(kSubmitExport), 202},
        {Method::kPost, "/api/jobs/", RouteKind::kCall, row(kCreateJob)},
        {Method::kGet, "/api/jobs/", RouteKind::kCall, row(kListJobs)},
        {Method::kGet, "/api/jobs/{job_id}", RouteKind::kCall, row(kGetJob)},
        {Method::kGet, "/api/jobs/{job_id}/status", RouteKind::kCall, row(kGetJobStatus)},
        {Method::kPost, "/api/jobs/{job_id}/progress", RouteKind::kCall, row(kReportProgress)},
        {Method::kPost, "/api/jobs/{job_id}/cancel", RouteKind::kCall, row(kCancelJob)},
        {Method::kPost, "/api/jobs/{job_id}/retry", RouteKind::kCall, row(kRetryJob)},
        {Method::kPost, "/api/jobs/{job_id}/hold", RouteKind::kCall, row(kHoldJob)},
        {Method::kPost, "/api/jobs/{job_id}/release", RouteKind::kCall, row(kReleaseJob)},
        {Method::kGet, "/api/jobs/{job_id}/events", RouteKind::kCall, row(kListJobEvents)},
        {Method::kGet, "/exports/*", RouteKind::kDownload},
        {Method::kGet, "/livez", RouteKind::kLivez},
        {Method::kGet, "/readyz", RouteKind::kReadyz},
        {Method::kGet, "/metrics", RouteKind::kMetrics},
        {Method::kGet, "/openapi.json", RouteKind::kOpenapi},
        {Method::kGet, "/docs", RouteKind::kDocs},
    });
}();

// What a pattern's one "{name}" stands for in the path, as sent; both empty without one.
struct Captured {
    std::string_view name;
    std::string_view value;
};

std::optional<Captured> match_pattern(std::string_view pattern, std::string_view path) {
    Captured captured;
    while (!pattern.empty() && !path.empty()) {
        if (pattern == "*") return captured;
        if (pattern.front() != '{') {
            if (pattern.front() != path.front()) return std::nullopt;
            pattern.remove_prefix(1);
            path.remove_prefix(1);
            continue;
        }
        const std::size_t close = pattern.find('}');
        const std::size_t end = std::min(path.find('/'), path.size());
        if (end == 0) return std::nullopt;
        captured = {pattern.substr(1, close - 1), path.substr(0, end)};
        pattern.remove_prefix(close + 1);
        path.remove_prefix(end);
    }
    if (!pattern.empty() || !path.empty()) return std::nullopt;
    return captured;
}

}  // namespace

bool is_probe(RouteKind kind) {
    return kind == RouteKind::kLivez || kind == RouteKind::kReadyz || kind == RouteKind::kMetrics;
}

std::span<const Route> routes() {
    return kRoutes;
}

Match match_route(Method method, std::string_view path) {
    Match match;
    bool get = false;
    bool post = false;
    for (const Route& route : kRoutes) {
        const auto captured = match_pattern(route.pattern, path);
        if (!captured) continue;
        (route.method == Method::kGet ? get : post) = true;
        const Method wanted = method == Method::kHead ? Method::kGet : method;
        if (route.method != wanted || match.route != nullptr) continue;
        match.route = &route;
        if (captured->name.empty()) continue;
        auto value = signing::percent_decode(captured->value);
        if (!value) return {};
        match.parameters.emplace(captured->name, std::move(*value));
    }
    if (get) match.allow = post ? "GET, HEAD, POST, OPTIONS" : "GET, HEAD, OPTIONS";
    if (post && !get) match.allow = "POST, OPTIONS";
    return match;
}

}  // namespace export_worker::http_shim
