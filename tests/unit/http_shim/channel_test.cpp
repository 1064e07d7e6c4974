// Over TCP on loopback: what a slow reader gets, and when a stopped one is cut.
#include "http_shim/channel.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <fstream>
#include <functional>
#include <optional>
#include <thread>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>

#include "base/unique_fd.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::http_shim {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

struct Pair {
    UniqueFd server;
    UniqueFd client;
};

// Connected, with a receive buffer of the client's of about `bytes`.
Pair connected(int bytes) {
    const UniqueFd listener(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t length = sizeof address;
    EXPECT_EQ(::bind(listener.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    EXPECT_EQ(::listen(listener.get(), 1), 0);
    ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&address), &length);
    UniqueFd client(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ::setsockopt(client.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes);
    EXPECT_EQ(::connect(client.get(), reinterpret_cast<sockaddr*>(&address), length), 0);
    UniqueFd server(::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC));
    ::setsockopt(server.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof bytes);
    return {std::move(server), std::move(client)};
}

class ChannelTest : public ::testing::Test {
protected:
    static constexpr std::size_t kBytes = 3 * 1024 * 1024;  // More than a sender's buffer takes.

    ChannelTest() {
        std::ofstream(dir_ / "file") << std::string(kBytes, 'x');
        file_ = UniqueFd(::open((dir_ / "file").c_str(), O_RDONLY | O_CLOEXEC));
    }
    Awaitable<void> send(Stream socket, milliseconds timeout, bool from_file) {
        Channel channel(std::move(socket), timeout);
        const std::string body(from_file ? 0 : kBytes, 'x');
        const bool sent = from_file ? co_await channel.send_file(file_.get(), 0, kBytes, &count_)
                                    : co_await channel.write("head", body);
        outcome_ = sent;
    }
    // Sends to `reader`, which runs in a thread of its own.
    bool run(Pair& pair, milliseconds timeout, bool from_file,
             const std::function<void(int)>& reader) {
        outcome_.reset();
        asio::io_context context{1};
        asio::co_spawn(
            context, send(Stream(context, {AF_INET, 0}, pair.server.release()), timeout, from_file),
            asio::detached);
        std::thread client([&] { reader(pair.client.get()); });
        context.run();
        client.join();
        return outcome_.value_or(false);
    }
    Awaitable<void> refuse(Stream socket) {
        Channel channel(std::move(socket), milliseconds(1000));
        const bool written = co_await channel.write("refused");
        outcome_ = written;
        co_await channel.linger();
    }
    // Reads to the end, `bytes` at a time with a pause before each; how many came.
    static std::size_t read_slowly(int fd, std::size_t bytes, milliseconds pause) {
        std::string chunk(bytes, '\0');
        std::size_t all = 0;
        for (;;) {
            std::this_thread::sleep_for(pause);  // sleep: the reader's slowness is the subject
            const ssize_t got = ::recv(fd, chunk.data(), chunk.size(), 0);
            if (got <= 0) return all;
            all += static_cast<std::size_t>(got);
        }
    }

    const testing::TempDir dir_;
    UniqueFd file_;
    std::uint64_t count_ = 0;
    std::optional<bool> outcome_;
};

// It takes several times the time-out, and the kernel says "writable" only a few times in it. The
// time-out is long enough for a machine that leaves the reader's thread waiting.
TEST_F(ChannelTest, AReaderMayBeAsSlowAsItLikes) {
    for (const bool from_file : {true, false}) {
        Pair pair = connected(64 * 1024);
        std::size_t came = 0;
        EXPECT_TRUE(run(pair, milliseconds(1000), from_file,
                        [&](int fd) { came = read_slowly(fd, 32 * 1024, milliseconds(35)); }));
        EXPECT_EQ(came, kBytes + (from_file ? 0 : 4));
    }
}

TEST_F(ChannelTest, AReaderThatStopsIsCut) {
    for (const bool from_file : {true, false}) {
        Pair pair = connected(64 * 1024);
        const auto begun = Clock::now();
        EXPECT_FALSE(run(pair, milliseconds(300), from_file, [](int) {}));
        EXPECT_GE(Clock::now() - begun, milliseconds(300));
        EXPECT_LT(count_, kBytes);
    }
}

// A client that looks at the answer only once it has sent everything.
TEST_F(ChannelTest, AClientThatStillSendsGetsTheAnswer) {
    Pair pair = connected(64 * 1024);
    asio::io_context context{1};
    asio::co_spawn(context, refuse(Stream(context, {AF_INET, 0}, pair.server.release())),
                   asio::detached);
    std::string answer(100, '\0');
    std::thread client([&] {
        const int fd = pair.client.get();
        const std::string much(12 * 1024 * 1024, 'x');
        EXPECT_EQ(::send(fd, much.data(), much.size(), MSG_NOSIGNAL),
                  static_cast<ssize_t>(much.size()));
        ::shutdown(fd, SHUT_WR);
        const ssize_t got = ::recv(fd, answer.data(), answer.size(), MSG_WAITALL);
        answer.resize(got > 0 ? static_cast<std::size_t>(got) : 0);
    });
    context.run();
    client.join();
    EXPECT_EQ(answer, "refused");
}

}  // namespace
}  // namespace export_worker::http_shim
