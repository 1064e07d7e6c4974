// Requests that a browser sends in the name of a page: which pages may use the session cookie, and
// which may read answers (CORS, https://fetch.spec.whatwg.org/#http-cors-protocol). Pure.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "http_shim/config.hpp"
#include "http_shim/request_head.hpp"
#include "http_shim/response.hpp"
#include "http_shim/routes.hpp"

namespace export_worker::http_shim {

// 403 for a POST whose credential is the cookie and which does not come from a page of ours (one of
// `hosts`, or of the request's own Host if there are none) or of `cors_origins`. A browser adds the
// cookie to whatever any page sends; a header it does not.
[[nodiscard]] std::optional<Response> refuse_cross_site(const RequestHead& head,
                                                        const Config& config);

// The answer to a preflight of an origin in `cors_origins`; nullopt: it is none.
[[nodiscard]] std::optional<Response> answer_preflight(const RequestHead& head, const Match& match,
                                                       const Config& config);

// What lets a page of `cors_origins` read the answer; nothing for everyone else.
void add_cors_headers(const RequestHead& head, const Config& config,
                      std::vector<std::pair<std::string, std::string>>& headers);

}  // namespace export_worker::http_shim
