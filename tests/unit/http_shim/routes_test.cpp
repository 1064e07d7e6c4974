#include "http_shim/routes.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/json.hpp"

namespace export_worker::http_shim {

// Made by cmake/embed.cmake.
extern const std::string_view kOpenapiJson;

namespace {

using nlohmann::json;

TEST(Routes, MatchPatternsAndNameTheMethods) {
    const Match match = match_route(Method::kGet, "/api/products/export/a%20b/download-url");
    ASSERT_NE(match.route, nullptr);
    EXPECT_EQ(match.route->wire_method->name, "download_url.get");
    EXPECT_EQ(match.parameters.at("job_id"), "a b");
    EXPECT_EQ(match_route(Method::kHead, "/livez").route->kind, RouteKind::kLivez);
    EXPECT_EQ(match_route(Method::kPost, "/livez").route, nullptr);
    EXPECT_EQ(match_route(Method::kPost, "/livez").allow, "GET, HEAD, OPTIONS");
    EXPECT_EQ(match_route(Method::kGet, "/api/jobs/").allow, "GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(match_route(Method::kGet, "/api/products/export//download-url").route, nullptr);
    EXPECT_EQ(match_route(Method::kGet, "/nope").allow, "");
}

TEST(Routes, OnlyTheCallsHaveAMethodOfTheWire) {
    for (const Route& route : routes())
        EXPECT_EQ(route.wire_method != nullptr, route.kind == RouteKind::kCall) << route.pattern;
}

// The published document, and what the table says of the same.
class Openapi : public ::testing::Test {
protected:
    // "limit integer", "status string".
    static std::set<std::string> documented_query(const json& operation) {
        std::set<std::string> out;
        for (const json& parameter : operation["parameters"]) {
            if (parameter["in"] == "query")
                out.insert(parameter["name"].get<std::string>() + " " +
                           parameter["schema"]["type"].get<std::string>());
        }
        return out;
    }
    static std::set<std::string> query_of(const message::WireMethod& method) {
        std::set<std::string> out;
        for (const message::QueryField& field : method.query)
            out.insert(std::string(field.name) + (field.is_number ? " integer" : " string"));
        return out;
    }
    static bool documents_idempotency_key(const json& operation) {
        return std::ranges::any_of(operation["parameters"], [](const json& parameter) {
            return parameter["in"] == "header" && parameter["name"] == "Idempotency-Key";
        });
    }
    json paths_ = parse_json(kOpenapiJson)["paths"];
};

TEST_F(Openapi, AgreesWithTheMethodsOfTheRoutes) {
    for (const Route& route : routes()) {
        if (route.kind != RouteKind::kCall) continue;
        const char* verb = route.method == Method::kGet ? "get" : "post";
        const json operation = paths_[std::string(route.pattern)][verb];
        ASSERT_TRUE(operation.is_object()) << route.pattern;
        const message::WireMethod& method = *route.wire_method;
        EXPECT_EQ(documented_query(operation), query_of(method)) << route.pattern;
        EXPECT_EQ(documents_idempotency_key(operation), method.takes_idempotency_key)
            << route.pattern;
        EXPECT_TRUE(operation["responses"].contains(std::to_string(route.success_status)))
            << route.pattern;
        EXPECT_EQ(operation["responses"].contains("413"), route.method == Method::kPost)
            << route.pattern;
        const std::string needs = "Requires `" + std::string(method.permission) + "` permission";
        EXPECT_NE(operation["description"].get<std::string>().find(needs), std::string::npos)
            << route.pattern;
    }
}

TEST_F(Openapi, HasNoOtherPaths) {
    std::set<std::string> routed;
    for (const Route& route : routes())
        routed.insert((route.method == Method::kGet ? "get " : "post ") +
                      std::string(route.pattern));
    for (const auto& [path, operations] : paths_.items()) {
        for (const auto& [verb, operation] : operations.items()) {
            std::string name = verb;
            name += " " + path;
            EXPECT_TRUE(routed.contains(name)) << name;
        }
    }
}

}  // namespace
}  // namespace export_worker::http_shim
