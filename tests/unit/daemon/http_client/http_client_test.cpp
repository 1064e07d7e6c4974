#include "daemon/http_client/http_client.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "daemon/http_client/backoff.hpp"
#include "daemon/http_client/limits.hpp"
#include "daemon/http_client/xml_document.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/http_server.hpp"

namespace export_worker::http {
namespace {

using testing::HttpServer;

TEST(HttpClient, SendsWhatItIsGivenAndReturnsEveryStatus) {
    HttpServer server([](const HttpServer::Request& request) {
        return HttpServer::Response{request.method == "PUT" ? 503 : 200,
                                    request.method + " " + request.body,
                                    {{"ETag", "\"x\""}}};
    });
    HttpClient client;
    HttpRequest request;
    request.url = server.url() + "/a/../b%2fc?d=e%20f";
    request.method = "PUT";
    request.body = "hello";
    request.headers = {{"X-One", "1"}, {"X-Empty", ""}};
    const auto put = client.send(request);
    ASSERT_TRUE(put) << put.error().message;
    EXPECT_EQ(put->status, 503);
    EXPECT_EQ(put->body, "PUT hello");
    EXPECT_EQ(put->header("etag"), "\"x\"");
    EXPECT_EQ(put->header("none"), "");
    const auto seen = server.requests().at(0);
    EXPECT_EQ(seen.target, "/a/../b%2fc?d=e%20f");
    EXPECT_EQ(seen.headers.at("x-one"), "1");
    EXPECT_EQ(seen.headers.at("x-empty"), "");
    EXPECT_FALSE(seen.headers.contains("expect"));
    for (const char* method : {"GET", "HEAD", "DELETE", "POST"}) {
        HttpRequest other;
        other.url = server.url();
        other.method = method;
        ASSERT_TRUE(client.send(other)) << method;
        EXPECT_EQ(server.requests().back().method, method);
    }
}

TEST(HttpClient, NeverFollowsARedirect) {
    HttpServer server([](const HttpServer::Request&) {
        return HttpServer::Response{302, "", {{"Location", "http://127.0.0.1:1/elsewhere"}}};
    });
    HttpClient client;
    HttpRequest request;
    request.url = server.url();
    EXPECT_EQ(client.send(request)->status, 302);
}

TEST(HttpClient, EveryFailureHasItsCodeAndNoneNamesTheQuery) {
    HttpServer server([](const HttpServer::Request& request) {
        HttpServer::Response out;
        out.hang_up = request.target.starts_with("/hang");
        out.body = std::string(5000, 'x');
        if (request.target.starts_with("/slow")) out.delay = std::chrono::seconds(5);
        return out;
    });
    HttpClient client;
    const auto code = [&](const std::string& url) {
        HttpRequest request;
        request.url = url + "?sig=SECRET";
        request.timeout = std::chrono::milliseconds(200);
        request.answer_bytes_max = 1000;
        const auto answer = client.send(request);
        EXPECT_FALSE(answer);
        EXPECT_EQ(answer.error().message.find("SECRET"), std::string::npos);
        return answer.error().code;
    };
    EXPECT_EQ(code(server.url() + "/hang"), ErrorCode::kUnavailable);
    EXPECT_EQ(code("http://127.0.0.1:1"), ErrorCode::kUnavailable);
    EXPECT_EQ(code(server.url() + "/big"), ErrorCode::kResourceExhausted);
    EXPECT_EQ(code("file:///etc/passwd"), ErrorCode::kInvalidArgument);
    EXPECT_EQ(code("nonsense://x"), ErrorCode::kInvalidArgument);
    EXPECT_EQ(code(server.url() + "/slow"), ErrorCode::kUnavailable);  // Last: it is busy after it.
}

// A connection that stays open, as most servers leave it.
TEST(HttpClient, AKeptConnectionIsNoWayIntoAPrivateNetwork) {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    ASSERT_EQ(::bind(listener.get(), generic, size), 0);
    ASSERT_EQ(::listen(listener.get(), 16), 0);
    ASSERT_EQ(::getsockname(listener.get(), generic, &size), 0);
    std::atomic<int> requests{0};
    std::thread server([&] {
        const UniqueFd peer(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
        char chunk[4096];
        // Small ones: each arrives in one piece.
        while (::recv(peer.get(), chunk, sizeof chunk, 0) > 0) {
            ++requests;
            constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
            (void)::send(peer.get(), kAnswer.data(), kAnswer.size(), MSG_NOSIGNAL);
        }
    });
    {
        HttpClient client;
        HttpRequest request;
        request.url = "http://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/";
        EXPECT_TRUE(client.send(request));
        EXPECT_TRUE(client.send(request));  // Over the same connection: one is accepted.
        request.public_only = true;
        EXPECT_EQ(client.send(request).error().code, ErrorCode::kFailedPrecondition);
    }
    server.join();
    EXPECT_EQ(requests, 2);
}

TEST(HttpClient, StopsInTheMiddle) {
    std::atomic<bool> stopping{false};
    HttpServer server([&](const HttpServer::Request&) {
        stopping = true;
        HttpServer::Response out;
        out.delay = std::chrono::seconds(20);
        return out;
    });
    HttpClient client(&stopping);
    HttpRequest request;
    request.url = server.url();
    EXPECT_EQ(client.send(request).error().code, ErrorCode::kCancelled);
    EXPECT_FALSE(wait_backoff(20, system_clock(), &stopping));
}

TEST(Backoff, WaitsByTheClock) {
    const testing::SkippingClock clock{};
    const SteadyTime before = clock.steady();
    for (int round = 0; round < 20; ++round) EXPECT_TRUE(wait_backoff(20, clock, nullptr));
    EXPECT_GT(clock.steady() - before, limits::kHttpBackoffMax / 2) << "jitter, 20 times";
    EXPECT_LE(clock.steady() - before,
              20 * (limits::kHttpBackoffMax + std::chrono::milliseconds(1)));
}

TEST(Backoff, GrowsAndIsBounded) {
    for (int round = 0; round < 200; ++round) {
        EXPECT_LE(backoff_of(0), limits::kHttpBackoffBase);
        EXPECT_LE(backoff_of(30), limits::kHttpBackoffMax);
    }
    for (const long later : {408, 429, 500, 502, 503, 504})
        EXPECT_TRUE(is_worth_retrying(later)) << later;
    for (const long final : {200, 301, 400, 401, 403, 404, 409, 410, 501})
        EXPECT_FALSE(is_worth_retrying(final)) << final;
}

TEST(XmlElement, ReadsFlatDocumentsAndNothingElse) {
    const auto document = XmlElement::parse(
        "<?xml version=\"1.0\"?><L xmlns=\"http://s3\"><I><K>a &amp; "
        "b</K></I><I><K>c</K></I><T/></L>");
    ASSERT_TRUE(document);
    EXPECT_EQ(document->name(), "L");
    EXPECT_EQ(document->text("I/K"), "a & b");
    EXPECT_EQ(document->children("I").at(1).text("K"), "c");
    EXPECT_TRUE(document->has("T"));
    EXPECT_FALSE(document->has("U"));
    EXPECT_EQ(document->text("U/V"), "");
    for (const char* bad : {"", "text", "<a><b></a>", "{\"json\":1}"})
        EXPECT_FALSE(XmlElement::parse(bad)) << bad;
    // Entities of a document type are not expanded.
    const auto bomb =
        XmlElement::parse("<!DOCTYPE a [<!ENTITY e \"eeee\"><!ENTITY f \"&e;&e;\">]><a>&f;</a>");
    EXPECT_TRUE(!bomb || bomb->text("").find("eeee") == std::string::npos);
}

}  // namespace
}  // namespace export_worker::http
