// What a stranger's bytes cost the shim's one thread, before anybody knows who he is and after.
#include <gtest/gtest.h>

#include "downloads/download.hpp"
#include "http_shim/api.hpp"
#include "http_shim/cross_origin.hpp"
#include "http_shim/limits.hpp"
#include "signing/limits.hpp"
#include "tests/unit/support/cost.hpp"

namespace export_worker::http_shim {
namespace {

using testing::kSlower;
using testing::milliseconds_of;

std::string repeated(std::string_view begin, std::string_view each, std::string_view end) {
    return testing::repeated(limits::kHttpBodyBytesMax, begin, each, end);
}

std::string nested(char open, char close, std::string_view before) {
    std::string out;
    while (out.size() < limits::kHttpBodyBytesMax * 2 / 3) {
        out += before;
        out += open;
    }
    return out.append(limits::kHttpBodyBytesMax - out.size(), close);
}

TEST(CostOfABody, IsLinearWhateverItsShape) {
    std::string members = "{";
    for (int index = 0; members.size() < limits::kHttpBodyBytesMax - 20; ++index)
        members += "\"" + std::to_string(index) + "\":{},";
    members += "\"x\":1}";
    const std::string digits(100'000, '7');
    const std::pair<const char*, std::string> shapes[]{
        {"array of objects", repeated(R"({"a":[)", "{},", "{}]}")},
        {"array of arrays", repeated(R"({"a":[)", "[],", "[]]}")},
        {"object of objects", members},
        {"the same name", repeated("{", R"("a":{},)", R"("a":{}})")},
        {"deep arrays", nested('[', ']', "")},
        {"deep objects", nested('{', '}', "\"a\":")},
        {"deep pairs", repeated(R"({"a":[)", "[[[[[[]]]]]],", "[]]}")},
        {"escapes", repeated(R"({"a":")", R"(\u00e9\n)", "\"}")},
        {"surrogates", repeated(R"({"a":")", R"(\ud83d\ude00)", "\"}")},
        {"long numbers", repeated(R"({"a":[)", digits + ",", "1]}")},
        {"long fractions", repeated(R"({"a":[)", "0." + digits + ",", "1]}")},
        {"large exponents", repeated(R"({"a":[)", "1e" + digits + ",", "1]}")},
        {"blanks", repeated("{", "          ", "}")},
        {"one string", repeated(R"({"a":")", "aaaaaaaaaa", "\"}")},
        {"no JSON", repeated("", "\x80", "")},
    };
    const Match match = match_route(Method::kPost, "/api/jobs/");
    RequestHead head;
    head.method = Method::kPost;
    for (const auto& [name, body] : shapes) {
        ASSERT_GT(body.size(), limits::kHttpBodyBytesMax * 9 / 10) << name;
        const double took = milliseconds_of([&] {
            (void)make_message(match, head, body, {"1", "", 1000});
        });
        EXPECT_LE(took, 20 * kSlower) << name;
    }
}

TEST(CostOfAHead, IsSmallWhateverItsShape) {
    const std::string begin = "GET /exports/a HTTP/1.1\r\nHost: h\r\n";
    const auto field = [&](const std::string& name, std::string_view each) {
        std::string out = begin + name + ": ";
        while (out.size() + each.size() + 4 < limits::kHttpHeaderBytesMax) out += each;
        return out + "\r\n\r\n";
    };
    Config config;
    config.cors_origins = {"https://app.example.com"};
    config.trusted_proxies = *AddressList::parse("0.0.0.0/0");
    std::string encoded = "GET /exports/";
    while (encoded.size() + 3 < limits::kRequestTargetBytesMax) encoded += "%2e";
    for (const std::string& bytes :
         {field("Cookie", "a;"), field("Cookie", ";"), field("Cookie", "stytch_session=a;"),
          field("Cookie", "=;"), field("X-Forwarded-For", "10.0.0.1,"),
          field("X-Forwarded-For", ","), field("X-Forwarded-For", "[::1]:1,"),
          field("Range", "bytes=0-1,"), field("Origin", "https://"),
          field("If-None-Match", "\"a\","), field("Authorization", "Bearer "),
          field("Content-Type", "a/b;"), field("X", "a"), encoded + " HTTP/1.1\r\nHost: h\r\n\r\n",
          std::string(16'000, '\r') + "\r\n\r\n"}) {
        const double took = milliseconds_of([&] {
            const auto head = parse_request_head(bytes, {"h"});
            if (!head) return;
            (void)credential_of(*head);
            (void)client_address("10.0.0.1", head->header("x-forwarded-for"),
                                 config.trusted_proxies);
            (void)refuse_cross_site(*head, config);
            (void)refuse_content_type(*head);
            (void)match_route(head->method, head->path);
            (void)redirect_slash(*head);
            (void)downloads::open_download(
                {head->target, head->header("range"), {}, {}, {}, {}, {}}, {}, 0);
        });
        EXPECT_LE(took, 2 * kSlower) << bytes.substr(0, 60);
    }
}

TEST(CostOfAQuery, IsSmallWhateverItsShape) {
    const Match match = match_route(Method::kGet, "/api/jobs/");
    for (const std::string_view each : {"&", "a=b&", "%41=%42&", "limit=1&", "+", "=&", "%"}) {
        RequestHead head;
        while (head.query.size() < limits::kRequestTargetBytesMax - 20) head.query += each;
        EXPECT_LE(milliseconds_of([&] {
                      (void)make_message(match, head, "", {"1", "", 1000});
                  }),
                  2 * kSlower)
            << each;
    }
}

}  // namespace
}  // namespace export_worker::http_shim
