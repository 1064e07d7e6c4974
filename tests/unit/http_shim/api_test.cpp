#include "http_shim/api.hpp"

#include <gtest/gtest.h>

#include <chrono>

#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "http_shim/limits.hpp"
#include "protocol/message/reply.hpp"
#include "protocol/message/request.hpp"

namespace export_worker::http_shim {
namespace {

using message::WireCode;
using nlohmann::json;

// One HTTP request on its way to a message.
struct Ask {
    Method method = Method::kGet;
    std::string path = "/api/jobs/j1";
    std::string query = "";
    RequestHead::Headers headers = {};
    std::string body = "";
};

tl::expected<std::string, Response> message_of(const Ask& ask) {
    RequestHead head;
    head.method = ask.method;
    head.path = ask.path;
    head.query = ask.query;
    head.headers = ask.headers;
    const Match match = match_route(ask.method, ask.path);
    EXPECT_NE(match.route, nullptr) << ask.path;
    return make_message(match, head, ask.body, {"id-1", "00-trace", 1234});
}

// The parameters of the message; null and a failed test when it is refused.
json params_of(const Ask& ask) {
    const auto bytes = message_of(ask);
    EXPECT_TRUE(bytes) << bytes.error().body;
    if (!bytes) return nullptr;
    const auto request = message::decode_request(*bytes);
    EXPECT_TRUE(request) << request.error().error.message;
    return request ? parse_msgpack(request->params) : json();
}

// "422 path.job_id string_too_long", "401 Invalid credentials".
std::string refusal(const Ask& ask) {
    const auto bytes = message_of(ask);
    if (bytes) return "accepted";
    std::string out = std::to_string(bytes.error().status);
    const json detail = parse_json(bytes.error().body)["detail"];
    if (detail.is_string()) return out + " " + detail.get<std::string>();
    std::string separator = " ";
    for (const json& each : detail[0]["loc"]) {
        out += separator + each.get<std::string>();
        separator = ".";
    }
    return out + " " + detail[0]["type"].get<std::string>();
}

constexpr const char* kSubmit = "/api/products/export-async";

TEST(MakeMessage, CarriesWhatTheRequestSays) {
    const auto bytes = message_of({.path = "/api/products/export/a%20b/download-url",
                                   .headers = {{"authorization", "Bearer x"},
                                               {"x-organization-id", "acme"},
                                               {"cookie", "a=b; stytch_session=tok=en; c=d"}}});
    ASSERT_TRUE(bytes);
    const auto request = message::decode_request(*bytes);
    ASSERT_TRUE(request);
    EXPECT_EQ(request->id, "id-1");
    EXPECT_EQ(request->method, "download_url.get");
    EXPECT_EQ(request->deadline_ms, 1234U);
    EXPECT_EQ(request->trace, "00-trace");
    EXPECT_EQ(request->credentials.authorization, "Bearer x");
    EXPECT_EQ(request->credentials.organization_id, "acme");
    EXPECT_EQ(request->credentials.session, "") << "the header counts";
    EXPECT_EQ(parse_msgpack(request->params), (json{{"job_id", "a b"}}));
}

TEST(MakeMessage, WithoutAHeaderTheCookieCounts) {
    const auto bytes = message_of({.headers = {{"cookie", "a=b; stytch_session=tok=en; c=d"}}});
    EXPECT_EQ(message::decode_request(*bytes)->credentials.session, "tok=en");
    const auto host =
        message_of({.headers = {{"cookie", "stytch_session=a; __Host-stytch_session=b"}}});
    EXPECT_EQ(message::decode_request(*host)->credentials.session, "b");
}

TEST(MakeMessage, TheCookieIsFoundByItsWholeName) {
    for (const char* cookies : {"", ";", "=", "stytch_session", "xstytch_session=a",
                                "stytch_session_2=a", "a=stytch_session=b", "Stytch_Session=a"}) {
        const auto bytes = message_of({.headers = {{"cookie", cookies}}});
        ASSERT_TRUE(bytes);
        EXPECT_EQ(message::decode_request(*bytes)->credentials.session, "") << cookies;
    }
}

TEST(MakeMessage, AJobIdThatNoJobHasIsRefused) {
    const std::string long_id(limits::kJobIdBytesMax + 1, 'x');
    EXPECT_EQ(refusal({.path = "/api/jobs/" + long_id}), "422 path.job_id string_too_long");
    for (const char* id : {"%00", "a%0Ab", "%7F", "%ff", "%c0%af", "%ed%a0%80"})
        EXPECT_EQ(refusal({.path = "/api/jobs/" + std::string(id)}),
                  "422 path.job_id string_pattern_mismatch")
            << id;
    EXPECT_EQ(params_of({.path = "/api/jobs/%F0%9F%9F%A2"})["job_id"], "\xF0\x9F\x9F\xA2");
}

TEST(MakeMessage, AnEmptyBodyIsAnEmptyObject) {
    EXPECT_EQ(params_of({Method::kPost, kSubmit}), json::object());
}

TEST(MakeMessage, ThePathWinsOverTheBody) {
    const json params = params_of({.method = Method::kPost,
                                   .path = "/api/jobs/mine/progress",
                                   .body = R"({"job_id": "other", "stage": "s"})"});
    EXPECT_EQ(params, (json{{"job_id", "mine"}, {"stage", "s"}}));
}

TEST(MakeMessage, ABodyIsOneJsonObject) {
    for (const char* body : {"[]", "5", "\"x\"", "null", "true", "[{}]"})
        EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {}, body}), "422 body dict_type") << body;
    for (const char* body : {" ", "{", "{}}", "{\"a\":}", "{'a':1}", "{\"a\":NaN}", "{} x", "\xff",
                             "{\"a\":\"\xff\"}", "{\"a\":\"\\ud800\"}", "{\"a\":1,}", "\xef\xbb"})
        EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {}, body}), "422 body json_invalid") << body;
    EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {}, std::string("{}\0", 3)}),
              "422 body json_invalid");
}

TEST(MakeMessage, ANestedBodyIsRefusedBeforeItCostsStack) {
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth, '[') + std::string(depth, ']') + "}";
    };
    EXPECT_TRUE(message_of({Method::kPost, kSubmit, "", {}, nested(10)}));
    for (const std::size_t depth : {std::size_t{40}, std::size_t{400'000}})
        EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {}, nested(depth)}),
                  "422 body json_invalid");
    EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {}, std::string(400'000, '[')}),
              "422 body json_invalid");
    // What only looks like nesting.
    EXPECT_EQ(params_of({Method::kPost,
                         kSubmit,
                         "",
                         {},
                         "{\"a\":\"" + std::string(100, '[') + "\\\"" + std::string(100, '{') +
                             "\"}"})["a"]
                  .get<std::string>()
                  .size(),
              201U);
}

// Twice the members take twice the time; the parser must not look at every one for each of them.
TEST(MakeMessage, ABodyOfManyMembersIsReadInOnePass) {
    std::string body = "{\"a\":[{}";
    for (std::size_t count = 4; count < limits::kHttpBodyValuesMax; ++count) body += ",{}";
    const auto before = std::chrono::steady_clock::now();
    EXPECT_TRUE(message_of({Method::kPost, kSubmit, "", {}, body + "]}"}));
    // 10 ms here; seconds when it is quadratic.
    EXPECT_LT(std::chrono::steady_clock::now() - before, std::chrono::seconds(1));
    EXPECT_FALSE(message_of({Method::kPost, kSubmit, "", {}, body + ",{},{}]}"}));
}

// What the daemon would refuse is refused here, with words that help.
TEST(MakeMessage, ABodyIsWithinTheBoundsOfAMessage) {
    const auto nested = [](std::size_t depth) {
        return "{\"a\":" + std::string(depth - 1, '[') + std::string(depth - 1, ']') + "}";
    };
    const auto good =
        message_of({Method::kPost, kSubmit, "", {}, nested(limits::kMessageDepthMax - 1)});
    ASSERT_TRUE(good);
    EXPECT_TRUE(message::decode_request(*good));
    for (const std::string& body :
         {nested(limits::kMessageDepthMax),
          "{\"" + std::string(limits::kMessageKeyBytesMax + 1, 'k') + "\":1}",
          std::string(R"({"format":"csv","format":"jsonl"})")})
        EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {}, body}), "422 body json_invalid") << body;
    const auto longest =
        message_of({Method::kPost,
                    kSubmit,
                    "",
                    {},
                    "{\"" + std::string(limits::kMessageKeyBytesMax, 'k') + "\":1}"});
    ASSERT_TRUE(longest);
    EXPECT_TRUE(message::decode_request(*longest));
}

TEST(MakeMessage, TheIdempotencyKeyMayComeInTheHeader) {
    const RequestHead::Headers header = {{"idempotency-key", "from the header"}};
    for (const char* path : {kSubmit, "/api/jobs/"}) {
        EXPECT_EQ(params_of({Method::kPost, path, "", header, "{}"})["idempotency_key"],
                  "from the header");
        EXPECT_EQ(params_of({Method::kPost, path, "", header,
                             R"({"idempotency_key":"from the header"})"})["idempotency_key"],
                  "from the header");
        for (const char* other : {R"("b")", "null", "7"}) {
            const std::string body = std::string(R"({"idempotency_key":)") + other + "}";
            EXPECT_EQ(refusal({Method::kPost, path, "", header, body}),
                      "422 header.Idempotency-Key value_error");
        }
    }
    EXPECT_FALSE(params_of({Method::kPost, "/api/jobs/j/cancel", "", header, "{}"})
                     .contains("idempotency_key"));
    EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {{"idempotency-key", ""}}, "{}"}),
              "422 header.Idempotency-Key string_too_short");
    EXPECT_EQ(refusal({Method::kPost, kSubmit, "", {{"idempotency-key", "\xff"}}, "{}"}),
              "422 header.Idempotency-Key string_unicode");
}

TEST(MakeMessage, QueriesAreForms) {
    const json params = params_of(
        {.path = "/api/jobs/", .query = "limit=10&offset=0&status=in+pro%67ress&&job_type=a"});
    EXPECT_EQ(params["limit"], 10);
    EXPECT_EQ(params["offset"], 0);
    EXPECT_EQ(params["status"], "in progress");
    EXPECT_EQ(params["job_type"], "a");
    EXPECT_EQ(params_of({.path = "/api/jobs/", .query = "after=7"}), (json{{"after", "7"}}));
    EXPECT_EQ(params_of({.path = "/api/jobs/j1/events", .query = "after=7"}),
              (json{{"job_id", "j1"}, {"after", 7}}));
}

TEST(MakeMessage, QueriesRefuseWrongNumbersAndBytes) {
    for (const char* value : {"", "-1", "1.5", "x", "+1", "0x1", "99999999999999999999", "1%00"})
        EXPECT_EQ(refusal({.path = "/api/jobs/", .query = "limit=" + std::string(value)}),
                  "422 query.limit int_parsing")
            << value;
    for (const char* query : {"a=%", "a=%zz", "%f=1", "a=%ff", "%c0%af=1"})
        EXPECT_TRUE(refusal({.path = "/api/jobs/", .query = query}).starts_with("400 ")) << query;
}

TEST(MakeMessage, AQueryHasTheFieldsOfItsMethod) {
    EXPECT_EQ(refusal({.path = "/api/jobs/", .query = "flag"}), "422 query.flag value_error");
    EXPECT_EQ(refusal({.path = "/api/jobs/", .query = "limit=1&before=7"}),
              "422 query.before value_error");
    // The path's job_id cannot be replaced.
    EXPECT_EQ(refusal({.path = "/api/jobs/j1/events", .query = "job_id=other"}),
              "422 query.job_id value_error");
    const auto refused = message_of({.path = "/api/jobs/j1/events", .query = "a%0Ab=1"});
    const json detail = parse_json(refused.error().body)["detail"][0];
    EXPECT_EQ(detail["loc"], json({"query", "a?b"}));
    EXPECT_EQ(detail["msg"], "unknown field; expected only after");
}

TEST(MakeMessage, AQueryHasEachFieldOnceAndSaysSomething) {
    for (const char* twice : {"limit=1&limit=2", "limit=1&limit=1", "limit=1&%6cimit=1"})
        EXPECT_EQ(refusal({.path = "/api/jobs/", .query = twice}), "422 query.limit value_error");
    EXPECT_EQ(refusal({.path = "/api/jobs/j1/events", .query = "after=1&after=2"}),
              "422 query.after value_error");
    for (const std::string name : {"status", "job_type"}) {
        for (const char* nothing : {"", "="})
            EXPECT_EQ(refusal({.path = "/api/jobs/", .query = name + nothing}),
                      "422 query." + name + " string_too_short");
        for (const char* control : {"%00", "a%0A", "%7f"})
            EXPECT_EQ(refusal({.path = "/api/jobs/", .query = name + "=" + control}),
                      "422 query." + name + " string_pattern_mismatch");
    }
}

TEST(MakeMessage, OnlyRoutesWithAQueryReadIt) {
    EXPECT_EQ(params_of({.path = "/api/jobs/j1", .query = "job_id=other&limit=x"}),
              (json{{"job_id", "j1"}}));
}

TEST(MakeMessage, CredentialsThatCannotBeGoodAreRefusedAsSuch) {
    const std::string long_text(limits::kCredentialBytesMax + 1, 'x');
    for (const std::string& bad : {long_text, std::string("Bearer \xff")}) {
        EXPECT_EQ(refusal({.headers = {{"authorization", bad}}}), "401 Invalid credentials");
        EXPECT_EQ(refusal({.headers = {{"cookie", "stytch_session=" + bad}}}),
                  "401 Invalid credentials");
    }
    for (const std::string& bad :
         {std::string(limits::kOrganizationIdBytesMax + 1, 'x'), std::string("\xff")})
        EXPECT_TRUE(refusal({.headers = {{"x-organization-id", bad}}}).starts_with("403 "));
}

json result_reply() {
    return {{"a", 1}};
}

Response respond(const std::string& reply, const std::string& path = "/api/jobs/j1",
                 Method method = Method::kGet) {
    return make_response(match_route(method, path), reply);
}

TEST(MakeResponse, AResultIsJson) {
    std::string reply;
    const message::ServedBy by{"download_url", "1.0.0", 7, "0a1b2c3d4e5f60718293"};
    message::encode_result(reply, "id", dump_msgpack(result_reply()), &by);
    const Response response = respond(reply);
    EXPECT_EQ(response.status, 200);
    EXPECT_EQ(response.body, R"({"a":1})");
    ASSERT_EQ(response.headers.size(), 1U);
    EXPECT_EQ(response.headers[0],
              std::pair(std::string("X-Served-By"),
                        std::string("download_url/1.0.0; generation=7; build=0a1b2c3d4e5f")));
    EXPECT_EQ(respond(reply, kSubmit, Method::kPost).status, 202);
}

// A list has what a request was allowed to bring some levels deeper.
TEST(MakeResponse, WhatWasAcceptedCanBeListed) {
    const auto bytes = message_of({Method::kPost,
                                   "/api/jobs/",
                                   "",
                                   {},
                                   R"({"job_type":"x","total_items":1,"metadata":{"a":)" +
                                       std::string(29, '[') + std::string(29, ']') + "}}"});
    ASSERT_TRUE(bytes);
    const auto request = message::decode_request(*bytes);
    ASSERT_TRUE(request);
    const json list = {{"items", {{{"metadata", parse_msgpack(request->params)["metadata"]}}}}};
    std::string reply;
    message::encode_result(reply, "id", dump_msgpack(list), nullptr);
    EXPECT_EQ(respond(reply).status, 200);
}

TEST(MakeResponse, AVersionCannotAddAHeader) {
    std::string reply;
    const message::ServedBy by{"p", "1.0\r\nSet-Cookie: a=b", 1, "0"};
    message::encode_result(reply, "id", dump_msgpack(result_reply()), &by);
    EXPECT_TRUE(respond(reply).headers.empty());
}

TEST(MakeResponse, ErrorsNameWhereTheFieldLies) {
    const auto loc = [](const char* text, const std::string& path, Method method) {
        std::string reply;
        message::encode_error(reply, "id", message::make_error(WireCode::kInvalidArgument, text),
                              nullptr);
        return parse_json(respond(reply, path, method).body)["detail"][0]["loc"];
    };
    EXPECT_EQ(loc("job_id: bad", "/api/jobs/j1", Method::kGet), json({"path", "job_id"}));
    EXPECT_EQ(loc("limit: bad", "/api/jobs/", Method::kGet), json({"query", "limit"}));
    EXPECT_EQ(loc("format: bad", kSubmit, Method::kPost), json({"body", "format"}));
    EXPECT_EQ(loc("without a field", kSubmit, Method::kPost), json::array({"body"}));
}

TEST(MakeResponse, RepliesThatAreNoneAreInternalErrors) {
    for (const char* reply : {"", "\xc1", "\x80", "x", "\x93\x01\x02\x03"}) {
        const Response response = respond(reply);
        EXPECT_EQ(response.status, 500);
        EXPECT_EQ(response.body, R"({"detail":"Internal Server Error"})");
    }
    std::string reply;
    message::encode_result(reply, "id", "\xc4\x01x", nullptr);  // A result that JSON cannot have.
    EXPECT_EQ(respond(reply).status, 500);
}

TEST(MakeResponse, ALinkWithoutAReplyIsLaterOrTooLate) {
    const Match match = match_route(Method::kGet, "/api/jobs/j1");
    EXPECT_EQ(make_response(match, fail(ErrorCode::kDeadlineExceeded, "late")).status, 504);
    const Response gone = make_response(match, fail(ErrorCode::kUnavailable, "gone"));
    EXPECT_EQ(gone.status, 503);
    EXPECT_EQ(gone.headers[0].first, "Retry-After");
}

TEST(CredentialOf, TheHeaderWinsOverTheCookie) {
    RequestHead head;
    EXPECT_EQ(credential_of(head).value, "");
    head.headers["cookie"] = "stytch_session=c";
    EXPECT_EQ(credential_of(head).value, "c");
    head.headers["authorization"] = "Bearer a";
    EXPECT_EQ(credential_of(head).value, "Bearer a");
}

TEST(RequestIdOf, KeepsAGoodOneAndMakesAnother) {
    RequestHead head;
    head.headers["x-request-id"] = "Az09._-";
    EXPECT_EQ(request_id_of(head), "Az09._-");
    for (const std::string& bad :
         {std::string(), std::string(41, 'x'), std::string("a b"), std::string("a\nb"),
          std::string("\xc3\xa9"), std::string("a\"")}) {
        head.headers["x-request-id"] = bad;
        EXPECT_EQ(request_id_of(head).size(), 36U) << bad;
    }
}

}  // namespace
}  // namespace export_worker::http_shim
