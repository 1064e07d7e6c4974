// The route table: which method of the wire answers which path.
#pragma once

#include <map>
#include <span>
#include <string>
#include <string_view>

#include "http_shim/request_head.hpp"
#include "protocol/message/methods.hpp"

namespace export_worker::http_shim {

enum class RouteKind { kNone, kCall, kDownload, kLivez, kReadyz, kMetrics, kOpenapi, kDocs };

// What probes and scrapers ask for, again and again: /livez, /readyz, /metrics.
[[nodiscard]] bool is_probe(RouteKind kind);

struct Route {
    Method method;
    std::string_view pattern;  // "{name}" stands for one segment; a last "*" for everything below.
    RouteKind kind;
    const message::WireMethod* wire_method = nullptr;  // For kCall.
    int success_status = 200;
};

[[nodiscard]] std::span<const Route> routes();

struct Match {
    const Route* route = nullptr;  // nullptr: nothing has this path, or not with this method.
    std::map<std::string, std::string> parameters;  // Percent-decoded, once.
    std::string_view allow;  // The methods this path has; empty: no such path.
};

// HEAD finds the GET route.
[[nodiscard]] Match match_route(Method method, std::string_view path);

}  // namespace export_worker::http_shim
