#include "http_shim/cross_origin.hpp"

#include <gtest/gtest.h>

namespace export_worker::http_shim {
namespace {

using Headers = std::vector<std::pair<std::string, std::string>>;

RequestHead post(RequestHead::Headers headers) {
    RequestHead head;
    head.method = Method::kPost;
    head.path = head.target = "/api/products/export-async";
    head.headers = std::move(headers);
    head.headers.emplace("host", "api.example.com");
    return head;
}
constexpr const char* kCookie = "a=b; stytch_session=s";

int verdict(const RequestHead& head, const Config& config = {}) {
    const auto refused = refuse_cross_site(head, config);
    return refused ? refused->status : 0;
}

TEST(RefuseCrossSite, ACookieActsForPagesOfOursOnly) {
    EXPECT_EQ(verdict(post({{"cookie", kCookie}})), 403);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://evil.example"}})), 403);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "null"}})), 403);
    EXPECT_EQ(
        verdict(post({{"cookie", kCookie}, {"origin", "https://api.example.com.evil.example"}})),
        403);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"sec-fetch-site", "cross-site"}})), 403);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"sec-fetch-site", "same-site"}})), 403);
    EXPECT_EQ(verdict(post({{"cookie", kCookie},
                            {"origin", "https://evil.example"},
                            {"sec-fetch-site", "same-origin"}})),
              403)
        << "the origin says more";
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://api.example.com"}})), 0);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://API.example.com:443"}})), 0);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"sec-fetch-site", "same-origin"}})), 0);
}

TEST(RefuseCrossSite, OtherCredentialsAreNobodyElses) {
    EXPECT_EQ(verdict(post({{"authorization", "Bearer k"}, {"origin", "https://evil.example"}})),
              0);
    EXPECT_EQ(verdict(post({{"origin", "https://evil.example"}})), 0) << "401, later";
    RequestHead get = post({{"cookie", kCookie}, {"origin", "https://evil.example"}});
    get.method = Method::kGet;
    EXPECT_EQ(verdict(get), 0) << "nothing changes, and the page cannot read the answer";
}

TEST(RefuseCrossSite, ConfiguredHostsAndOriginsCount) {
    Config config;
    config.hosts = {"shop.example.com"};
    config.cors_origins = {"https://app.example.com"};
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://shop.example.com"}}), config),
              0);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://app.example.com"}}), config),
              0);
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://api.example.com"}}), config),
              403);
    config.cors_origins = {"*"};
    EXPECT_EQ(verdict(post({{"cookie", kCookie}, {"origin", "https://evil.example"}}), config), 403)
        << "any page may read, none may act";
}

Headers cors(const std::string& origin, std::vector<std::string> listed) {
    Config config;
    config.cors_origins = std::move(listed);
    Headers out;
    add_cors_headers(post({{"origin", origin}}), config, out);
    return out;
}

TEST(Cors, IsOffUnlessConfigured) {
    EXPECT_EQ(cors("https://app.example.com", {}), Headers{});
}

TEST(Cors, AListedOriginMayReadAndUseTheCookie) {
    const Headers headers = cors("https://app.example.com", {"https://app.example.com"});
    ASSERT_EQ(headers.size(), 4U);
    EXPECT_EQ(headers[0], (Headers::value_type{"Vary", "Origin"}));
    EXPECT_EQ(headers[1],
              (Headers::value_type{"Access-Control-Allow-Origin", "https://app.example.com"}));
    EXPECT_EQ(headers[2], (Headers::value_type{"Access-Control-Allow-Credentials", "true"}));
    for (const char* name :
         {"Content-Disposition", "Content-Range", "ETag", "Retry-After", "X-Request-ID"})
        EXPECT_NE(headers[3].second.find(name), std::string::npos) << name;
    EXPECT_EQ(cors("https://app.example.com.evil.example", {"https://app.example.com"}),
              (Headers{{"Vary", "Origin"}}));
    EXPECT_EQ(cors("", {"https://app.example.com"}), (Headers{{"Vary", "Origin"}}));
}

TEST(Cors, AnyOriginMayReadWithoutTheCookie) {
    const Headers headers = cors("https://anybody.example", {"*"});
    ASSERT_EQ(headers.size(), 2U);
    EXPECT_EQ(headers[0], (Headers::value_type{"Access-Control-Allow-Origin", "*"}));
}

TEST(Cors, PreflightsAreAnswered) {
    Config config;
    config.cors_origins = {"https://app.example.com"};
    RequestHead head =
        post({{"origin", "https://app.example.com"}, {"access-control-request-method", "POST"}});
    head.method = Method::kOptions;
    const Match match = match_route(head.method, head.path);
    const auto answer = answer_preflight(head, match, config);
    ASSERT_TRUE(answer);
    EXPECT_EQ(answer->status, 204);
    EXPECT_EQ(answer->headers[1],
              (Headers::value_type{"Access-Control-Allow-Methods", "POST, OPTIONS"}));
    EXPECT_NE(answer->headers[2].second.find("Idempotency-Key"), std::string::npos);
    head.headers["origin"] = "https://evil.example";
    EXPECT_FALSE(answer_preflight(head, match, config));
    head.headers["origin"] = "https://app.example.com";
    head.headers.erase("access-control-request-method");
    EXPECT_FALSE(answer_preflight(head, match, config)) << "a plain OPTIONS";
    EXPECT_FALSE(answer_preflight(head, {}, config));
}

}  // namespace
}  // namespace export_worker::http_shim
