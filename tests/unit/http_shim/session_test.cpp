// One connection of the shim over a socket pair, without a daemon behind it.
#include "http_shim/session.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/unique_fd.hpp"
#include "http_shim/limits.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;

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
        while (!ended) {
            context_.run_one();
            ssize_t got = 0;
            while ((got = ::recv(client.get(), chunk, sizeof chunk, MSG_DONTWAIT)) > 0)
                out.append(chunk, static_cast<std::size_t>(got));
        }
        return out;
    }
    Awaitable<void> serve_and_tell(Stream socket, std::string peer, bool& ended) {
        co_await serve(std::move(socket), std::move(peer), *parts_);
        ended = true;
    }
    void configure(const Config& config) {
        config_ = config;
        parts_.emplace(config_, link_, "test");
    }
    static std::size_t answers(std::string_view text) {
        std::size_t count = 0;
        for (std::size_t at = text.find("HTTP/1.1 "); at != std::string_view::npos;
             at = text.find("HTTP/1.1 ", at + 1))
            ++count;
        return count;
    }

    const testing::TempDir dir_;
    asio::io_context context_{1};
    std::unique_ptr<client::DaemonPool> pool_ =
        std::move(*client::DaemonPool::open({"ipc://" + dir_.path() + "/nobody.sock"}));
    DaemonLink link_{context_, *pool_};
    Config config_;
    std::optional<SessionParts> parts_{std::in_place, config_, link_, "test"};
};

TEST_F(SessionTest, AnswersOneAfterTheOther) {
    EXPECT_EQ(answers(exchange(std::string(kLivez) + std::string(kLivez))), 2U);
    EXPECT_EQ(parts_->connections, 0U);
    EXPECT_EQ(parts_->busy, 0U);
    EXPECT_TRUE(parts_->connections_by_group.empty());
}

TEST_F(SessionTest, AConnectionEndsAfterAThousandRequests) {
    std::string many;
    for (int count = 0; count < 1'002; ++count) many += kLivez;
    const std::string out = exchange(many);
    EXPECT_EQ(answers(out), 1'000U);
    EXPECT_EQ(out.find("Connection: close"), out.rfind("Connection: close"));
    EXPECT_NE(out.find("Connection: close"), std::string::npos);
}

// Whoever announces a body and goes away must not use up what all bodies together may take.
TEST_F(SessionTest, ABodyThatNeverComesTakesNoRoom) {
    const std::string out =
        exchange("POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nContent-Length: 1000\r\n\r\nonly a piece");
    EXPECT_EQ(out, "");
    EXPECT_EQ(parts_->body_bytes, 0U);
    EXPECT_EQ(parts_->busy, 0U);
}

TEST_F(SessionTest, BodiesTogetherAreBounded) {
    const std::string post = "POST /api/jobs/ HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\n{}";
    parts_->body_bytes = limits::kHttpBodyBytesInFlightMax - 1;
    const std::string full = exchange(post);
    EXPECT_TRUE(full.starts_with("HTTP/1.1 503 ")) << full;
    EXPECT_NE(full.find("\r\nRetry-After: 1\r\n"), std::string::npos) << full;
    EXPECT_NE(full.find("\r\nConnection: close\r\n"), std::string::npos) << full;
    EXPECT_EQ(parts_->body_bytes, limits::kHttpBodyBytesInFlightMax - 1);
    EXPECT_TRUE(exchange(kLivez).starts_with("HTTP/1.1 200 ")) << "who sends none is served";
}

TEST_F(SessionTest, WhatIsRefusedIsCounted) {
    exchange("nonsense\r\n\r\n");
    exchange("GET /livez HTTP/1.1\r\n\r\n");
    EXPECT_EQ(parts_->metrics.refused_heads, 2U);
    EXPECT_EQ(parts_->metrics.rate_limited, 0U);
    Config config;
    config.address_rate = 1;
    config.address_burst = 1;
    configure(config);
    EXPECT_TRUE(exchange(kLivez).starts_with("HTTP/1.1 200 "));
    const std::string later = exchange(kLivez);
    EXPECT_TRUE(later.starts_with("HTTP/1.1 429 ")) << later;
    EXPECT_NE(later.find("\r\nRetry-After: 1\r\n"), std::string::npos) << later;
    EXPECT_TRUE(exchange(kLivez, "192.0.2.2").starts_with("HTTP/1.1 200 "));
    EXPECT_EQ(parts_->metrics.rate_limited, 1U);
}

TEST_F(SessionTest, WhileTheShimDrainsEveryAnswerClosesItsConnection) {
    parts_->draining = true;
    const std::string out = exchange(std::string(kLivez) + std::string(kLivez));
    EXPECT_EQ(answers(out), 1U);
    EXPECT_NE(out.find("\r\nConnection: close\r\n"), std::string::npos);
}

TEST_F(SessionTest, WithoutADaemonTheAnswerIsToComeAgain) {
    const std::string out = exchange("GET /api/jobs/j1 HTTP/1.1\r\nHost: h\r\n\r\n");
    EXPECT_TRUE(out.starts_with("HTTP/1.1 503 ")) << out;
    EXPECT_NE(out.find("\r\nRetry-After: 1\r\n"), std::string::npos) << out;
}

}  // namespace
}  // namespace export_worker::http_shim
