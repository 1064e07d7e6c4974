#include "http_shim/routes.hpp"

#include <gtest/gtest.h>

namespace export_worker::http_shim {
namespace {

TEST(Routes, MatchPatternsAndNameTheMethods) {
    const Match match = match_route(Method::kGet, "/api/products/export/a%20b/download-url");
    ASSERT_NE(match.route, nullptr);
    EXPECT_EQ(match.route->wire_method, "download_url.get");
    EXPECT_EQ(match.parameters.at("job_id"), "a b");
    EXPECT_EQ(match_route(Method::kHead, "/livez").route->kind, RouteKind::kLivez);
    EXPECT_EQ(match_route(Method::kPost, "/livez").route, nullptr);
    EXPECT_EQ(match_route(Method::kPost, "/livez").allow, "GET, HEAD, OPTIONS");
    EXPECT_EQ(match_route(Method::kGet, "/api/jobs/").allow, "GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(match_route(Method::kGet, "/api/products/export//download-url").route, nullptr);
    EXPECT_EQ(match_route(Method::kGet, "/nope").allow, "");
}

}  // namespace
}  // namespace export_worker::http_shim
