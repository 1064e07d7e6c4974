#include "http_shim/request_head.hpp"

#include <gtest/gtest.h>

#include "http_shim/limits.hpp"
#include "signing/limits.hpp"

namespace export_worker::http_shim {
namespace {

int status_of(const std::string& bytes, const std::vector<std::string>& hosts = {}) {
    const auto head = parse_request_head(bytes, hosts);
    return head ? 200 : head.error().status;
}
std::string get(const std::string& target, const std::string& fields = "") {
    return "GET " + target + " HTTP/1.1\r\nHost: h\r\n" + fields + "\r\n";
}

TEST(RequestHead, ReadsWhatTheShimUses) {
    const auto head = parse_request_head(
        "POST /a%20b?x=1 HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer x\r\nContent-Length: "
        "12\r\nExpect: 100-continue\r\n\r\n",
        {});
    ASSERT_TRUE(head);
    EXPECT_EQ(head->path, "/a%20b");
    EXPECT_EQ(head->query, "x=1");
    EXPECT_EQ(head->header("authorization"), "Bearer x");
    EXPECT_EQ(head->content_length, 12U);
    EXPECT_TRUE(head->expects_continue);
    EXPECT_TRUE(head->keep_alive);
    EXPECT_FALSE(parse_request_head(get("/", "Connection: close\r\n"), {})->keep_alive);
    EXPECT_FALSE(
        parse_request_head("GET / HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n", {})
            ->keep_alive);
}

// Every head that two parsers could read differently (docs/http.md).
TEST(RequestHead, RefusesAmbiguousFraming) {
    for (const char* coding : {"chunked", "gzip", "identity", "xchunked", "chunked, identity"}) {
        EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: " +
                            std::string(coding) + "\r\nContent-Length: 3\r\n\r\n"),
                  coding == std::string("chunked") ? 400 : 411)
            << coding;
        EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: " +
                            std::string(coding) + "\r\n\r\n"),
                  411)
            << coding;
    }
    for (const char* length : {"5, 5", "+5", "-1", "5 5", "0x5", "", "99999999999999999999",
                               "5\r\nContent-Length: 5", "5\r\nContent-Length: 6"}) {
        EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::string(length) +
                            "\r\n\r\n"),
                  400)
            << length;
    }
    EXPECT_EQ(status_of(get("/", "X: a\r\n b\r\n")), 400);
    EXPECT_EQ(status_of(get("/", "X : a\r\n")), 400);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\n\r\n"), 400);
    EXPECT_EQ(status_of(get("/", "Host: other\r\n")), 400);
    EXPECT_EQ(status_of("GET / HTTP/2.0\r\nHost: h\r\n\r\n"), 400);
    EXPECT_EQ(status_of("GET /\r\n\r\n"), 400);
    EXPECT_EQ(status_of(std::string("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 35)), 400);
    EXPECT_EQ(status_of(get("/", "Content-Length: 5\r\n")), 400);  // A body on GET.
    EXPECT_EQ(status_of(get("/", "Authorization: a\r\nAuthorization: b\r\n")), 400);
}

TEST(RequestHead, RefusesBadTargetsAndMethods) {
    EXPECT_EQ(status_of(get("http://other/")), 400);
    EXPECT_EQ(status_of(get("http://h@other/")), 400);
    EXPECT_EQ(status_of(get("ftp://h/")), 400);
    EXPECT_EQ(status_of(get("http://h/a/../b")), 400);
    EXPECT_EQ(status_of(get("http://h?x")), 400);
    EXPECT_EQ(status_of(get("/a/../b")), 400);
    EXPECT_EQ(status_of(get("/a/%2e%2E/b")), 400);
    EXPECT_EQ(status_of(get("/a%2Fb")), 400);
    EXPECT_EQ(status_of(get("/a%5cb")), 400);
    EXPECT_EQ(status_of(get("/a%zz")), 400);
    EXPECT_EQ(status_of(get("/a\xc3\xa9")), 400);
    EXPECT_EQ(status_of(get("/a#b")), 400);
    EXPECT_EQ(status_of(get("/" + std::string(limits::kRequestTargetBytesMax, 'a'))), 414);
    EXPECT_EQ(status_of(get("/%F0%9F%9F%A2")), 200);
    EXPECT_EQ(status_of("DELETE / HTTP/1.1\r\nHost: h\r\n\r\n"), 405);
    EXPECT_EQ(status_of("BREW / HTTP/1.1\r\nHost: h\r\n\r\n"), 501);
    EXPECT_EQ(status_of("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), 200);
    EXPECT_EQ(status_of(get("*")), 400);
}

TEST(RequestHead, EnforcesAmountsHostsAndExpectations) {
    std::string many;
    for (int index = 0; index < 70; ++index) many += "X-" + std::to_string(index) + ": y\r\n";
    EXPECT_EQ(status_of(get("/", many)), 431);
    EXPECT_EQ(status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " +
                        std::to_string(limits::kHttpBodyBytesMax + 1) + "\r\n\r\n"),
              413);
    EXPECT_EQ(status_of(get("/", "Expect: magic\r\n")), 417);
    EXPECT_EQ(status_of(get("/"), {"api.example.com"}), 421);
    EXPECT_EQ(status_of("GET / HTTP/1.1\r\nHost: API.example.com\r\n\r\n", {"api.example.com"}),
              200);
}

// As a client of a forward proxy writes it (RFC 9112, 3.2.2).
TEST(RequestHead, TheAbsoluteFormInTheNameOfHostIsAPath) {
    for (const char* form : {"http://h", "HTTP://H", "https://h"}) {
        const auto head = parse_request_head(get(std::string(form) + "/a?b=c"), {});
        ASSERT_TRUE(head) << form;
        EXPECT_EQ(head->target, "/a?b=c");
        EXPECT_EQ(head->path, "/a");
        EXPECT_EQ(parse_request_head(get(form), {})->path, "/");
    }
}

TEST(LoggableTarget, ShowsNoSecretHoweverItIsSpelt) {
    EXPECT_EQ(loggable_target("/exports/a?expires=1&filename=x&store=s&key=k1&sig=abc"),
              "/exports/a?expires=1&filename=x&store=s&key=k1&sig=REDACTED");
    for (const char* spelt :
         {"s%69g", "SIG", "%73ig", "X-Amz-Signature", "token", "stytch_session"})
        EXPECT_EQ(loggable_target("/exports/a?expires=1&" + std::string(spelt) + "=secret"),
                  "/exports/a?expires=1&" + std::string(spelt) + "=REDACTED");
    EXPECT_EQ(loggable_target("/api/jobs/mo_0123456789abcdef_ff"), "/REDACTED");
    EXPECT_EQ(loggable_target("/api/jobs/?mo_0123=1"), "/api/jobs/?REDACTED");
    EXPECT_EQ(loggable_target("/api/jobs/?status=mo_0123"), "/api/jobs/?status=REDACTED");
    const std::string token = "mos_" + std::string(43, 'b');
    for (const char* name : {"job_type", "status", "limit", "filename"}) {
        for (const std::string& secret :
             {token, "%6d" + token.substr(1), "x" + token, std::string("%6do_0123"),
              std::string("%256Do_0123"), std::string("eyJhbGciOiJFUzI1NiJ9.eyJzdWIi.c2ln"),
              std::string("https:%2F%2Fx%2Fa%3FX-Amz-Signature%3Dff")}) {
            EXPECT_EQ(loggable_target("/api/jobs/?" + std::string(name) + "=" + secret),
                      "/api/jobs/?" + std::string(name) + "=REDACTED");
        }
    }
    for (const char* path :
         {"/api/jobs/%6do_0123", "/api/jobs/mos_x", "/api/jobs/a&sig=ff", "/api/jobs/a%3Fsig%3Dff"})
        EXPECT_EQ(loggable_target(path), "/REDACTED") << path;
    EXPECT_EQ(loggable_target("/exports/demo_shop.csv?filename=demo_shop.csv"),
              "/exports/demo_shop.csv?filename=demo_shop.csv");
    EXPECT_EQ(loggable_target("/api/jobs/?" + std::string(100, 'a')), "/api/jobs/?REDACTED");
    for (const char* harmless : {"/", "/livez", "/api/jobs/?limit=5&offset=10",
                                 "/api/jobs/j1/events?after=7", "/a?", "/a?&"})
        EXPECT_EQ(loggable_target(harmless), harmless);
}

TEST(RequestHead, AHostIsANameOrAnAddress) {
    const auto with_host = [](const std::string& host) {
        return status_of("GET / HTTP/1.1\r\nHost: " + host + "\r\n\r\n");
    };
    for (const char* host : {"h", "api.example.com:8443", "[::1]:80", "10.0.0.1", "a_b"})
        EXPECT_EQ(with_host(host), 200) << host;
    for (const char* host : {"a b", "u@h", "a/b", "h\xc3\xa9", "h,other", "h?x"})
        EXPECT_EQ(with_host(host), 400) << host;
}

// docs/http.md promises these numbers.
TEST(RequestHead, TheBoundsAreTheDocumentedOnes) {
    const auto with_fields = [](int count) {
        std::string fields;
        for (int number = 1; number < count; ++number)  // And Host.
            fields += "X-" + std::to_string(number) + ": y\r\n";
        return status_of(get("/", fields));
    };
    EXPECT_EQ(with_fields(64), 200);
    EXPECT_EQ(with_fields(65), 431);
    EXPECT_EQ(status_of(get("/" + std::string(2'047, 'a'))), 200);
    EXPECT_EQ(status_of(get("/" + std::string(2'048, 'a'))), 414);
    const auto with_body = [](std::size_t bytes) {
        return status_of("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(bytes) +
                         "\r\n\r\n");
    };
    EXPECT_EQ(with_body(960 * 1024), 200);
    EXPECT_EQ(with_body(960 * 1024 + 1), 413);
    EXPECT_EQ(with_body(1024 * 1024 + 1), 413);
    EXPECT_EQ(with_body(99'999'999'999), 413);
}

}  // namespace
}  // namespace export_worker::http_shim
