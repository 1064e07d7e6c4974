#include "http_shim/response.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"

namespace export_worker::http_shim {
namespace {

using message::WireCode;
using nlohmann::json;

std::string header(const Response& response, std::string_view name) {
    for (const auto& [each, value] : response.headers) {
        if (each == name) return value;
    }
    return "";
}

Response error(WireCode code, const std::string& text = "x") {
    return make_wire_error_response(message::make_error(code, text), "path");
}

TEST(Response, SpeaksTheApisErrorLanguage) {
    EXPECT_EQ(error(WireCode::kNotFound, "Export job not found").body,
              R"({"detail":"Export job not found"})");
    EXPECT_EQ(header(error(WireCode::kUnauthenticated), "WWW-Authenticate"), "Bearer");
    EXPECT_EQ(header(error(WireCode::kOverloaded), "Retry-After"), "1");
    EXPECT_EQ(error(WireCode::kUnavailable).status, 503);
    EXPECT_EQ(header(error(WireCode::kUnavailable), "Retry-After"), "")
        << "it may have been done: not to be done again by itself";
}

TEST(Response, EveryCodeHasItsStatus) {
    for (std::uint32_t number = 1; number <= message::kWireCodeLast; ++number) {
        const auto code = static_cast<WireCode>(number);
        const int expected = code == WireCode::kUnknownMethod ? 503 : message::http_status(code);
        EXPECT_EQ(error(code).status, expected) << message::to_string(code);
    }
    EXPECT_EQ(error(WireCode::kUnknownMethod).body,
              R"({"detail":"Service temporarily unavailable"})");
}

TEST(Response, AFieldIsNamedInItsPlace) {
    const json detail =
        parse_json(error(WireCode::kInvalidArgument, "job_id: too: long").body)["detail"];
    EXPECT_EQ(detail[0]["loc"], json({"path", "job_id"}));
    EXPECT_EQ(detail[0]["msg"], "too: long");
    EXPECT_EQ(detail[0]["type"], "value_error");
    const json nameless = parse_json(error(WireCode::kInvalidArgument, "no").body)["detail"];
    EXPECT_EQ(nameless[0]["loc"], json::array({"path"}));
    EXPECT_EQ(nameless[0]["msg"], "no");
}

TEST(Response, HostileDetailsAreJson) {
    const Response response = make_error_response(400, "a\"}\n\xff");
    EXPECT_EQ(parse_json(response.body)["detail"], "a\"}\n\xef\xbf\xbd");
}

TEST(Response, RetryAfterIsInWholeSecondsAndNeverZero) {
    message::WireError overloaded = message::make_error(WireCode::kOverloaded, "x");
    const auto after = [&](std::uint32_t ms) {
        overloaded.retry_after_ms = ms;
        return header(make_wire_error_response(overloaded, ""), "Retry-After");
    };
    EXPECT_EQ(after(0), "1");
    EXPECT_EQ(after(1), "1");
    EXPECT_EQ(after(1001), "2");
    EXPECT_EQ(header(make_later_response(429, "x", std::chrono::milliseconds(1500)), "Retry-After"),
              "2");
    EXPECT_EQ(header(make_later_response(503, "x", std::chrono::nanoseconds(-5)), "Retry-After"),
              "1");
    EXPECT_EQ(make_later_response(503, "x", std::chrono::seconds(1)).headers.size(), 1U);
}

TEST(Response, TheLongestWaitIsNotTheShortest) {
    message::WireError overloaded = message::make_error(WireCode::kOverloaded, "x");
    overloaded.retry_after_ms = UINT32_MAX;
    EXPECT_EQ(header(make_wire_error_response(overloaded, ""), "Retry-After"), "4294968");
}

TEST(Response, TheDocsPageLoadsNothingFromElsewhere) {
    const Response page = make_docs_response("<p>");
    EXPECT_EQ(page.content(), "<p>");
    EXPECT_TRUE(header(page, "Content-Security-Policy").starts_with("default-src 'none'"));
}

TEST(EncodeHead, HasTheFixedHeaders) {
    Response response;
    response.headers = {{"X-Served-By", "p"}};
    std::string head = encode_head(response, 12, true, {"r-1", "00-t"});
    const std::size_t date = head.find("Date: ");
    ASSERT_NE(date, std::string::npos) << head;
    head.erase(date + 6, std::string_view("Fri, 27 Nov 2026 00:02:45 GMT").size());
    EXPECT_EQ(head,
              "HTTP/1.1 200 OK\r\nX-Served-By: p\r\nContent-Type: application/json\r\n"
              "Content-Length: 12\r\nCache-Control: no-store\r\nX-Content-Type-Options: nosniff\r\n"
              "X-Request-ID: r-1\r\ntraceparent: 00-t\r\nDate: \r\nKeep-Alive: timeout=25\r\n\r\n");
}

TEST(EncodeHead, LeavesOutWhatDoesNotApply) {
    Response response;
    response.headers = {{"Cache-Control", "private"}};
    const std::string closing = encode_head(response, 0, false, {"r-1", ""});
    EXPECT_EQ(closing.find("no-store"), std::string::npos);
    EXPECT_EQ(closing.find("traceparent"), std::string::npos);
    EXPECT_TRUE(closing.ends_with("Connection: close\r\n\r\n"));
    for (const int status : {204, 304}) {
        response.status = status;
        EXPECT_EQ(encode_head(response, 0, true, {"r", ""}).find("Content-Length"),
                  std::string::npos);
    }
}

}  // namespace
}  // namespace export_worker::http_shim
