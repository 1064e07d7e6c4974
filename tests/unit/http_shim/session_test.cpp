// One connection of the shim over a socket pair, without a daemon behind it.
#include "http_shim/session.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <regex>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/unique_fd.hpp"
#include "http_shim/limits.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;

using Held = Connections::Held;
const std::string kProxy = "192.0.2.9";
constexpr std::string_view kOpenapi = "GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n";
constexpr std::string_view kLivez = "GET /livez HTTP/1.1\r\nHost: h\r\n\r\n";

class SessionTest : public ::testing::Test {
protected:
    // What the shim answers to `bytes`, after which the client sends nothing more. Everything
    // happens in this thread: the client's part fits the socket's buffers.
    std::string exchange(std::string_view bytes, const std::string& peer = "192.0.2.1") {
        int ends[2];
        EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        const UniqueFd client(ends[0]);
        EXPECT_EQ(::send(client.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(bytes.size()));
        ::shutdown(client.get(), SHUT_WR);
        bool ended = false;
        asio::co_spawn(context_,
                       serve_and_tell(Stream(context_, {AF_UNIX, 0}, ends[1]), peer, ended),
                       asio::detached);
        std::string out;
        char chunk[65536];
        // The coroutine ends it.
        // NOLINTNEXTLINE(bugprone-infinite-loop)
        while (!ended) {
            context_.run_one();
            ssize_t got = 0;
            while ((got = ::recv(client.get(), chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
                out.append(chunk, static_cast<std::size_t>(got));
            end_ = got == 0 ? 0 : errno;
        }
        return out;
    }
    // How the connection ends for the client after `bytes`: 0 in order, else the error.
    int end_after(std::string_view bytes) {
        EXPECT_NE(exchange(bytes), "");
        return end_;
    }
    Awaitable<void> serve_and_tell(Stream socket, std::string peer, bool& ended) {
        auto place = connections_.admit(peer, false);
        co_await serve(std::move(socket), std::move(peer), std::move(place), *deps_);
        ended = true;
    }
    void configure(const Config& config) {
        config_ = config;
        deps_.emplace(config_, link_, connections_, "test");
    }
    static std::size_t answers(std::string_view text) {
        std::size_t count = 0;
        for (std::size_t at = text.find("HTTP/1.1 "); at != std::string_view::npos;
             at = text.find("HTTP/1.1 ", at + 1))
            ++count;
        return count;
    }

    int end_ = 0;
    const testing::TempDir dir_;
    Connections connections_{0};
    asio::io_context context_{1};
    std::unique_ptr<client::DaemonPool> pool_ =
        std::move(*client::DaemonPool::open({"ipc://" + dir_.path() + "/nobody.sock"}));
    DaemonLink link_{context_, *pool_};
    Config config_;
    std::optional<SessionDeps> deps_{std::in_place, config_, link_, connections_, "test"};
};

TEST_F(SessionTest, AnswersOneAfterTheOther) {
    EXPECT_EQ(answers(exchange(std::string(kLivez) + std::string(kLivez))), 2U);
    EXPECT_EQ(connections_.open(), 0U);
    EXPECT_EQ(connections_.busy(), 0U);
}

TEST_F(SessionTest, AnEmptyLineBeforeARequestIsTolerated) {
    EXPECT_EQ(answers(exchange("\r\n" + std::string(kLivez) + "\r\n" + std::string(kLivez))), 2U);
}

TEST_F(SessionTest, AConnectionEndsAfterAThousandRequests) {
    std::string many;
    for (int count = 0; count < 1'002; ++count) many += kLivez;
    const std::string out = exchange(many);
    EXPECT_EQ(answers(out), 1'000U);
    EXPECT_EQ(out.find("Connection: close"), out.rfind("Connection: close"));
    EXPECT_NE(out.find("Connection: close"), std::string::npos);
}

// A server that closes with unread bytes resets the connection, and what it sent may be lost.
TEST_F(SessionTest, WhatIsPipelinedBehindTheLastRequestResetsNothing) {
    std::string many;
    for (int count = 0; count < 1'300; ++count) many += kLivez;
    deps_->draining = true;
    EXPECT_EQ(end_after(many), 0) << "behind an answer while the shim drains";
    deps_->draining = false;
    EXPECT_EQ(end_after(many), 0) << "behind the thousandth request";
    const std::string last = "GET /livez HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n";
    EXPECT_EQ(end_after(last + many), 0) << "behind a last request";
}

std::string post(std::size_t announced, std::string_view sent, const std::string& fields) {
    return "POST /api/jobs/ HTTP/1.1\r\nHost: h\r\n" + fields +
           "Content-Length: " + std::to_string(announced) + "\r\n\r\n" + std::string(sent);
}
const std::string kKey = "Authorization: Bearer key\r\n";

// Whoever announces a body and goes away must not use up what all bodies together may take.
TEST_F(SessionTest, ABodyThatNeverComesTakesNoRoom) {
    EXPECT_EQ(exchange(post(900'000, "only a piece", kKey)), "");
    EXPECT_EQ(connections_.bytes_held(), 0U);
    EXPECT_EQ(connections_.busy(), 0U);
}

TEST_F(SessionTest, BodiesTogetherAreBounded) {
    Held others(connections_, Held::Kind::kBody, {kProxy, true});
    ASSERT_TRUE(others.add(limits::kHttpBytesFree + limits::kHttpBodiesHeldBytesMax));
    const std::string big(limits::kHttpBytesFree + 1, ' ');
    const std::string full = exchange(post(big.size(), big, kKey));
    EXPECT_TRUE(full.starts_with("HTTP/1.1 503 ")) << full;
    EXPECT_NE(full.find("\r\nRetry-After: 1\r\n"), std::string::npos) << full;
    EXPECT_NE(full.find("\r\nConnection: close\r\n"), std::string::npos) << full;
    EXPECT_TRUE(exchange(kLivez).starts_with("HTTP/1.1 200 ")) << "who sends none is served";
    EXPECT_TRUE(exchange(kOpenapi).starts_with("HTTP/1.1 200 ")) << "bodies take no answer's room";
    const std::string small = exchange(post(2, "{}", kKey));
    EXPECT_EQ(small.find("Connection: close"), std::string::npos) << "it was read: " << small;
}

TEST_F(SessionTest, AClientBehindAProxyHasItsShareOfTheBodies) {
    Config config;
    config.trusted_proxies = *AddressList::parse(kProxy);
    configure(config);
    const std::string client = "198.51.100.1";
    Held bodies(connections_, Held::Kind::kBody, {client});
    ASSERT_TRUE(bodies.add(limits::kHttpBytesFree + limits::kHttpBodiesHeldPerAddressBytesMax));
    const std::string big = std::string(limits::kHttpBytesFree, ' ') + "{}";
    const auto send = [&](const std::string& from) {
        return exchange(post(big.size(), big, kKey + "X-Forwarded-For: " + from + "\r\n"), kProxy);
    };
    EXPECT_NE(send(client).find("Too many request bodies wait"), std::string::npos);
    const std::string other = send("198.51.100.2");
    EXPECT_NE(other.find("Service temporarily unavailable"), std::string::npos) << other;
}

// A 503 in its place would invite to do it again.
TEST_F(SessionTest, TheAnswerToAPostIsNeverReplaced) {
    Held others(connections_, Held::Kind::kAnswer, {kProxy, true});
    ASSERT_TRUE(others.add(limits::kHttpBytesFree + limits::kHttpAnswersHeldBytesMax));
    const std::string big = std::string(limits::kHttpBytesFree, ' ') + "{}";
    const std::string out = exchange(post(big.size(), big, kKey));
    EXPECT_NE(out.find("Service temporarily unavailable"), std::string::npos) << out;
}

TEST_F(SessionTest, APostWhoseAnswerHasNoRoomIsNotHandedOn) {
    const std::string peer = "192.0.2.1";
    Held answers(connections_, Held::Kind::kAnswer, {peer});
    ASSERT_TRUE(answers.add(limits::kHttpBytesFree + limits::kHttpAnswersHeldPerAddressBytesMax));
    const std::string out = exchange(post(2, "{}", kKey), peer);
    EXPECT_NE(out.find("Too many answers wait"), std::string::npos) << out;
    EXPECT_EQ(deps_->calls, 0U);
    EXPECT_NE(exchange(post(2, "{}", kKey), kProxy).find("Service temporarily"), std::string::npos);
    EXPECT_EQ(deps_->calls, 1U);
}

// Nothing is read for somebody who shows no credential, or one that cannot be any.
TEST_F(SessionTest, NoBodyIsReadWithoutACredential) {
    for (const std::string& fields :
         {std::string(), "Authorization: " + std::string(9'000, 'a') + "\r\n",
          std::string("Origin: http://h\r\nCookie: stytch_session=a; stytch_session=b\r\n")}) {
        const std::string out = exchange(post(900'000, "{", fields));
        EXPECT_TRUE(out.starts_with("HTTP/1.1 401 ")) << out;
        EXPECT_NE(out.find("\r\nConnection: close\r\n"), std::string::npos) << out;
    }
    const std::string lost =
        exchange("POST /nowhere HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n");
    EXPECT_TRUE(lost.starts_with("HTTP/1.1 404 ")) << lost;
}

TEST_F(SessionTest, ABodyIsJson) {
    for (const char* type : {"text/plain", "application/x-www-form-urlencoded",
                             "multipart/form-data; boundary=x", "text/json", "application/jsonx"}) {
        const std::string out =
            exchange(post(0, "", kKey + "Content-Type: " + std::string(type) + "\r\n"));
        EXPECT_TRUE(out.starts_with("HTTP/1.1 415 ")) << type << ": " << out;
    }
    for (const char* type : {"application/json", "Application/JSON ; charset=utf-8",
                             "application/merge-patch+json", ""}) {
        const std::string out =
            exchange(post(2, "{}", kKey + "Content-Type: " + std::string(type) + "\r\n"));
        EXPECT_TRUE(out.starts_with("HTTP/1.1 503 ")) << type << ": " << out;
    }
}

TEST_F(SessionTest, OfTwoCookiesOfOneNameNoneIsBelieved) {
    const auto ask = [&](const std::string& cookies) {
        return exchange("GET /api/jobs/ HTTP/1.1\r\nHost: h\r\nCookie: " + cookies + "\r\n\r\n")
            .substr(9, 3);
    };
    EXPECT_EQ(ask("stytch_session=a; stytch_session=b"), "401");
    EXPECT_EQ(ask("__Host-stytch_session=a; __Host-stytch_session=a"), "401");
    EXPECT_EQ(ask("stytch_session=a"), "503") << "on to the daemons";
    EXPECT_EQ(ask("stytch_session=a; __Host-stytch_session=b"), "503");
}

TEST_F(SessionTest, AnotherSitesPageCannotAct) {
    const std::string cookie = "Cookie: stytch_session=s\r\n";
    EXPECT_TRUE(
        exchange(post(2, "{}", cookie + "Origin: http://evil\r\n")).starts_with("HTTP/1.1 403 "));
    EXPECT_TRUE(exchange(post(2, "{}", cookie)).starts_with("HTTP/1.1 403 "));
    EXPECT_TRUE(
        exchange(post(2, "{}", cookie + "Origin: http://h\r\n")).starts_with("HTTP/1.1 503 "));
}

// A scan with a browser's TLS, or a script's line ends, is told at once, not after a time-out.
TEST_F(SessionTest, WhatCannotBecomeAHeadIsAnsweredAtOnce) {
    deps_->timeouts.head = std::chrono::hours(1);
    for (const std::string& bytes :
         {std::string("\x16\x03\x01\x02\x00\x01\x00\x01\xfc", 9),
          std::string("GET / HTTP/1.1\nHost: h\n\n"), std::string("GET / HTTP/1.1\r\nHost: h\n\n")})
        EXPECT_TRUE(exchange(bytes).starts_with("HTTP/1.1 400 ")) << bytes;
}

// Else the page sees a failed request and no reason.
TEST_F(SessionTest, AListedPageMayReadEveryRefusal) {
    Config config;
    config.cors_origins = {"https://app.example.com"};
    config.hosts = {"h"};
    configure(config);
    for (const auto& [status, head] : {std::pair("405", "PUT /livez HTTP/1.1\r\nHost: h\r\n"),
                                       {"501", "BREW / HTTP/1.1\r\nHost: h\r\n"},
                                       {"400", "GET /a%zz HTTP/1.1\r\nHost: h\r\n"},
                                       {"421", "GET / HTTP/1.1\r\nHost: other\r\n"},
                                       {"413",
                                        "POST / HTTP/1.1\r\nContent-Length: 9999999\r\n"
                                        "Host: h\r\n"}}) {
        const auto ask = [&, start = std::string(head)](const std::string& fields) {
            return exchange(start + fields + "\r\n");
        };
        const std::string out = ask("Origin: https://app.example.com\r\n");
        EXPECT_EQ(out.substr(9, 3), status);
        EXPECT_NE(out.find("\r\nAccess-Control-Allow-Origin: https://app.example.com\r\n"),
                  std::string::npos)
            << out;
        for (const char* other : {"", "Origin: https://evil.example\r\n",
                                  "Origin: https://app.example.com\r\nOrigin: https://a.b\r\n"})
            EXPECT_EQ(ask(other).find("Access-Control-Allow-Origin"), std::string::npos) << other;
    }
}

TEST_F(SessionTest, A405NamesTheMethodsOfItsPath) {
    const auto allow = [&](const std::string& request) {
        const std::string out = exchange(request + " HTTP/1.1\r\nHost: h\r\n\r\n");
        const std::size_t at = out.find("\r\nAllow: ") + 9;
        return out.substr(9, 3) + " " + out.substr(at, out.find("\r\n", at) - at);
    };
    EXPECT_EQ(allow("PUT /exports/acme/x"), "405 GET, HEAD, OPTIONS");
    EXPECT_EQ(allow("DELETE /api/jobs/j1/cancel?x"), "405 POST, OPTIONS");
    EXPECT_EQ(allow("PUT /api/jobs/"), "405 GET, HEAD, POST, OPTIONS");
    EXPECT_EQ(allow("PUT /nowhere"), "405 GET, HEAD, POST, OPTIONS");
}

TEST_F(SessionTest, ProbesNeedNoHost) {
    Config config;
    config.hosts = {"api.example.com"};
    configure(config);
    EXPECT_TRUE(exchange("GET /livez HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(exchange("GET /livez HTTP/1.1\r\nHost: 10.0.0.7:8080\r\n\r\n")
                    .starts_with("HTTP/1.1 200 "));
    EXPECT_TRUE(exchange("GET /docs HTTP/1.0\r\n\r\n").starts_with("HTTP/1.1 421 "));
    EXPECT_TRUE(exchange("GET /livez HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
}

TEST_F(SessionTest, EveryAnswerHasADateAndSaysHowLongWeWait) {
    const std::string out = exchange(kLivez);
    EXPECT_TRUE(std::regex_search(
        out,
        std::regex(
            "\r\nDate: [A-Z][a-z]{2}, \\d\\d [A-Z][a-z]{2} 20\\d\\d \\d\\d:\\d\\d:\\d\\d GMT\r\n")))
        << out;
    EXPECT_NE(out.find("\r\nKeep-Alive: timeout=25\r\n"), std::string::npos) << out;
}

TEST_F(SessionTest, ASlashTooManyOrTooFewIsRedirected) {
    const auto location = [&](const std::string& target) {
        const std::string out = exchange("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n");
        const std::size_t at = out.find("\r\nLocation: ");
        return out.substr(9, 3) +
               (at == std::string::npos
                    ? std::string()
                    : " " + out.substr(at + 12, out.find("\r\n", at + 2) - at - 12));
    };
    EXPECT_EQ(location("/api/jobs?limit=5&x=a%20b"), "307 /api/jobs/?limit=5&x=a%20b");
    EXPECT_EQ(location("/api/jobs/j1/"), "307 /api/jobs/j1");
    EXPECT_EQ(location("/livez/"), "307 /livez");
    EXPECT_EQ(location("//evil.example/"), "404");
    EXPECT_EQ(location("/nothing"), "404");
}

// A place of the reserve answers probes, and says to everyone else why not.
TEST_F(SessionTest, AtTheLimitOnlyProbesAreAnswered) {
    std::vector<std::unique_ptr<Connections::Place>> all;
    for (std::size_t index = 0; index < limits::kHttpConnectionsMax; ++index) {
        all.push_back(connections_.admit("127.0.0.1", true));
        all.back()->begin_request();
    }
    const std::string probe = exchange(kLivez);
    EXPECT_TRUE(probe.starts_with("HTTP/1.1 200 ")) << probe;
    EXPECT_NE(probe.find("\r\nConnection: close\r\n"), std::string::npos);
    const std::string other = exchange("GET /api/jobs/ HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(other.starts_with("HTTP/1.1 503 ")) << other;
    EXPECT_NE(other.find("Too many connections"), std::string::npos) << other;
}

TEST_F(SessionTest, WhatIsRefusedIsCounted) {
    exchange("nonsense\r\n\r\n");
    exchange("GET /docs HTTP/1.1\r\n\r\n");
    EXPECT_EQ(deps_->metrics.refused_heads, 2U);
    EXPECT_EQ(deps_->metrics.rate_limited, 0U);
    Config config;
    config.address_rate = 1;
    config.address_burst = 1;
    configure(config);
    EXPECT_TRUE(exchange(kLivez).starts_with("HTTP/1.1 200 "));
    const std::string later = exchange(kLivez);
    EXPECT_TRUE(later.starts_with("HTTP/1.1 429 ")) << later;
    EXPECT_NE(later.find("\r\nRetry-After: 1\r\n"), std::string::npos) << later;
    EXPECT_TRUE(exchange(kLivez, "192.0.2.2").starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(deps_->metrics.rate_limited, 1U);
}

TEST_F(SessionTest, WhileTheShimDrainsEveryAnswerClosesItsConnection) {
    deps_->draining = true;
    const std::string out = exchange(std::string(kLivez) + std::string(kLivez));
    EXPECT_EQ(answers(out), 1U);
    EXPECT_NE(out.find("\r\nConnection: close\r\n"), std::string::npos);
}

// It takes megabytes for a slow reader, then nothing until that one has read some of them.
TEST_F(SessionTest, AListedProxyMayPauseLongerThanAReader) {
    Config config;
    config.trusted_proxies = *AddressList::parse("192.0.2.1");
    configure(config);
    deps_->timeouts.write = std::chrono::milliseconds(40);
    std::string many;
    for (int count = 0; count < 100; ++count)
        many += "GET /openapi.json HTTP/1.1\r\nHost: h\r\n\r\n";
    const std::array<std::string, 2> peers{"192.0.2.1", "192.0.2.2"};
    std::array<UniqueFd, 2> clients;
    std::array<bool, 2> ended{};
    for (std::size_t index = 0; index < peers.size(); ++index) {
        int ends[2];
        ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
        clients.at(index) = UniqueFd(ends[0]);
        ASSERT_EQ(::send(ends[0], many.data(), many.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(many.size()));
        asio::co_spawn(context_,
                       serve_and_tell(Stream(context_, {AF_UNIX, 0}, ends[1]), peers.at(index),
                                      ended.at(index)),
                       asio::detached);
    }
    while (!ended[1]) context_.run_one();
    EXPECT_FALSE(ended[0]);
    clients[0].reset();  // Gone: that ends it at once.
    while (!ended[0]) context_.run_one();
}

TEST_F(SessionTest, WithoutADaemonTheAnswerIsToComeAgain) {
    const std::string out = exchange("GET /api/jobs/j1 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(out.starts_with("HTTP/1.1 503 ")) << out;
    EXPECT_NE(out.find("\r\nRetry-After: 1\r\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace export_worker::http_shim
