#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include <cstring>
#include <thread>

#include "base/shared_limits.hpp"
#include "protocol/transport/client.hpp"
#include "protocol/transport/curve.hpp"
#include "protocol/transport/endpoint.hpp"
#include "protocol/transport/server_socket.hpp"
#include "tests/unit/support/eventually.hpp"
#include "tests/unit/support/http_server.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::transport {
namespace {

using std::chrono::milliseconds;
using testing::TempDir;

std::string endpoint_in(const TempDir& dir) {
    return "ipc://" + dir.path() + "/run/data.sock";
}

// Waits for one message and sends it back in capitals.
void echo_once(ServerSocket& server) {
    Envelope envelope;
    std::string body;
    for (int rounds = 0; rounds < 500; ++rounds) {
        server.wait(milliseconds(20), -1);
        if (server.receive(envelope, body) != ReceiveOutcome::kRequest) continue;
        ASSERT_EQ(server.send(envelope, "re:" + body), SendOutcome::kSent);
        return;
    }
    FAIL() << "no message came";
}

std::optional<std::string> wait_for_reply(Client& client) {
    for (int rounds = 0; rounds < 500; ++rounds) {
        if (auto reply = client.receive()) return reply;
        client.wait(milliseconds(20), -1);
    }
    return std::nullopt;
}

TEST(Endpoint, TakesAbsoluteIpcPathsOnly) {
    EXPECT_EQ(*ipc_path("ipc:///run/x.sock"), "/run/x.sock");
    for (const std::string& bad : {std::string("tcp://127.0.0.1:5555"), std::string("ipc://run/x"),
                                   std::string("ipc://"), "ipc:///" + std::string(200, 'x')}) {
        EXPECT_EQ(ipc_path(bad).error().code, ErrorCode::kInvalidArgument) << bad;
    }
}

TEST(Endpoint, TcpIsAnAddressAndAPort) {
    EXPECT_EQ(*tcp_port("tcp://10.0.0.5:7411"), 7411);
    EXPECT_EQ(*tcp_port("tcp://[::1]:1"), 1);
    for (const char* bad : {"tcp://*:7411", "tcp://host:7411", "tcp://10.0.0.5", "tcp://10.0.0.5:0",
                            "tcp://10.0.0.5:65536", "tcp://eth0:7411", "ipc:///x", "tcp://:1", ""})
        EXPECT_EQ(tcp_port(bad).error().code, ErrorCode::kInvalidArgument) << bad;
    EXPECT_EQ(Client::open("tcp://127.0.0.1:7411").error().code, ErrorCode::kInvalidArgument)
        << "never without keys";
}

TEST(ServerSocket, AnswersAClientAndSetsTheFileMode) {
    const TempDir dir;
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    ASSERT_TRUE(server) << server.error().message;
    struct stat info {};
    ASSERT_EQ(::stat((dir / "run/data.sock").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0600U);
    ASSERT_EQ(::stat((dir / "run").c_str(), &info), 0);
    EXPECT_EQ(info.st_mode & 0777U, 0750U);

    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client);
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    ASSERT_TRUE(client->send("hello"));
    echo_once(*server);
    EXPECT_EQ(wait_for_reply(*client), "re:hello");
}

TEST(ServerSocket, TellsWhoThePeerIs) {
    const TempDir dir;
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    ASSERT_TRUE(server) << server.error().message;
    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    ASSERT_TRUE(client->send("hello"));
    Envelope envelope;
    std::string body;
    PeerCredentials peer;
    ReceiveOutcome outcome = ReceiveOutcome::kNothing;
    for (int rounds = 0; rounds < 500 && outcome != ReceiveOutcome::kRequest; ++rounds) {
        server->wait(milliseconds(20), -1);
        outcome = server->receive(envelope, body, &peer);
    }
    ASSERT_EQ(body, "hello");
    EXPECT_EQ(peer.uid, static_cast<std::int64_t>(::geteuid()));
    EXPECT_EQ(peer.pid, static_cast<std::int64_t>(::getpid()));
}

TEST(PeerCredentials, AreReadFromTheEndOfTheAddress) {
    const PeerCredentials peer = parse_peer_address("localhost:1000:100:4711");
    EXPECT_EQ(peer.uid, 1000);
    EXPECT_EQ(peer.pid, 4711);
    EXPECT_EQ(parse_peer_address(":4294967295:0:1").uid, 4'294'967'295);
    for (const char* text : {"", "localhost", "1:2", "a:b:c:d", "h:1:2:", "h:4294967296:0:1",
                             "h:-1:0:1", "192.0.2.1"}) {
        EXPECT_EQ(parse_peer_address(text).uid, -1) << text;
        EXPECT_EQ(parse_peer_address(text).pid, -1) << text;
    }
}

TEST(ServerSocket, RefusesAPathSomebodyListensOn) {
    const TempDir dir;
    auto first = ServerSocket::open(endpoint_in(dir), 0600);
    ASSERT_TRUE(first);
    const auto second = ServerSocket::open(endpoint_in(dir), 0600);
    ASSERT_FALSE(second);
    EXPECT_NE(second.error().message.find("already listening"), std::string::npos);
}

TEST(ServerSocket, ReplacesAStaleSocketButNoOtherFile) {
    const TempDir dir;
    std::filesystem::create_directories(dir / "run");
    {
        const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        const std::string path = dir / "run/data.sock";
        path.copy(address.sun_path, sizeof address.sun_path - 1);
        ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
        ::close(fd);  // Leaves the file, as a crash does.
    }
    EXPECT_TRUE(ServerSocket::open(endpoint_in(dir), 0600));
    EXPECT_FALSE(std::filesystem::exists(dir / "run/data.sock"));  // Gone with its owner.
    dir.write("run/data.sock", "precious");
    EXPECT_FALSE(ServerSocket::open(endpoint_in(dir), 0600));
    EXPECT_EQ(testing::read_text(dir / "run/data.sock"), "precious");
}

// What was sent ends the connection and reaches nobody; the next one is as good as the first.
void expect_only_this_connection_ends(ServerSocket& server, Client& client) {
    Envelope envelope;
    std::string body;
    for (int rounds = 0; rounds < 500 && client.losses() == 0; ++rounds) {
        server.wait(milliseconds(10), -1);
        ASSERT_EQ(server.receive(envelope, body), ReceiveOutcome::kNothing) << body.size();
        client.wait(milliseconds(10), -1);
    }
    EXPECT_EQ(client.losses(), 1U);
    ASSERT_TRUE(client.wait_connected(milliseconds(5000)));
    ASSERT_TRUE(client.send("hello"));
    echo_once(server);
    EXPECT_EQ(wait_for_reply(client), "re:hello");
}

// Before anybody could read it into memory; the next connection is as good as the first.
TEST(ServerSocket, NamesAnAddressThatIsTaken) {
    const TempDir dir;
    const testing::HttpServer other([](const auto&) { return testing::HttpServer::Response{}; });
    const std::string endpoint = "tcp" + other.url().substr(std::string_view("http").size());
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    ASSERT_TRUE(server) << server.error().message;
    const auto refused = server->listen_on_tcp(
        {endpoint, dir.write("key", make_curve_keys().secret_key), dir.write("clients", ""), 10});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
    EXPECT_EQ(refused.error().message, "listen on " + endpoint + ": Address already in use");
}

TEST(ServerSocket, AMessageOverTheBoundEndsItsConnection) {
    const TempDir dir;
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    Envelope envelope;
    std::string body;
    ASSERT_TRUE(client->send(std::string(limits::kTransportMessageBytesMax, 'x')));
    for (int rounds = 0; rounds < 500 && body.empty(); ++rounds) {
        server->wait(milliseconds(20), -1);
        (void)server->receive(envelope, body);
    }
    ASSERT_EQ(body.size(), limits::kTransportMessageBytesMax);
    ASSERT_TRUE(client->send(std::string(limits::kTransportMessageBytesMax + 1, 'x')));
    expect_only_this_connection_ends(*server, *client);
}

TEST(Client, NamesTheEndpointWhoseKeyIsNone) {
    const CurveClient broken{make_curve_keys(), "no key"};
    const auto refused = Client::open("tcp://127.0.0.1:7411", &broken);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInternal);
    EXPECT_EQ(refused.error().message, "connect to tcp://127.0.0.1:7411: Invalid argument");
}

// Before its frames are in memory.
TEST(ServerSocket, AMessageOfTooManyFramesEndsItsConnection) {
    const TempDir dir;
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    std::vector<std::string_view> requests(limits::kMessageFramesMax - 1, "x");
    ASSERT_TRUE(client->send(requests));
    Envelope envelope;
    std::string body;
    std::size_t received = 0;
    for (int rounds = 0; rounds < 500 && received < requests.size(); ++rounds) {
        server->wait(milliseconds(20), -1);
        while (server->receive(envelope, body) == ReceiveOutcome::kRequest) ++received;
    }
    EXPECT_EQ(received, requests.size());
    requests.push_back("x");
    ASSERT_TRUE(client->send(requests));
    expect_only_this_connection_ends(*server, *client);
}

// What a peer does not read is bounded in bytes, whatever it asked for; others get their replies.
TEST(ServerSocket, APeerThatDoesNotReadHoldsSoManyBytes) {
    const TempDir dir;
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    const std::string reply(1024 * 1024, 'x');
    Envelope envelope;
    std::string body;
    const auto receive = [&] {
        return testing::eventually(
            [&] { return server->receive(envelope, body) == ReceiveOutcome::kRequest; });
    };
    const std::unique_ptr<void, int (*)(void*)> context(::zmq_ctx_new(), ::zmq_ctx_term);
    const std::unique_ptr<void, int (*)(void*)> idle(::zmq_socket(context.get(), ZMQ_DEALER),
                                                     ::zmq_close);
    const int one = 1;
    const int none = 0;
    ASSERT_EQ(::zmq_setsockopt(idle.get(), ZMQ_RCVHWM, &one, sizeof one), 0);
    ASSERT_EQ(::zmq_setsockopt(idle.get(), ZMQ_LINGER, &none, sizeof none), 0);
    ASSERT_EQ(::zmq_connect(idle.get(), endpoint_in(dir).c_str()), 0);
    ASSERT_EQ(::zmq_send(idle.get(), "", 0, ZMQ_SNDMORE), 0);
    ASSERT_EQ(::zmq_send(idle.get(), "x", 1, 0), 1);
    ASSERT_TRUE(receive());
    const Envelope idles = envelope;
    std::size_t sent = 0;
    while (sent < 200 && server->send(idles, reply) == SendOutcome::kSent) ++sent;
    // And what the kernel and the peer's own library take.
    EXPECT_LE(sent, limits::kPeerBytesInFlightMax / reply.size() + 4);

    auto reader = Client::open(endpoint_in(dir));
    ASSERT_TRUE(reader->wait_connected(milliseconds(5000)));
    for (int count = 0; count < 20; ++count) {
        ASSERT_TRUE(reader->send("x"));
        ASSERT_TRUE(receive());
        ASSERT_EQ(server->send(envelope, reply), SendOutcome::kSent);
        EXPECT_EQ(wait_for_reply(*reader)->size(), reply.size());
    }
    // What was counted is given back once it is read.
    std::vector<char> buffer(reply.size());
    std::size_t read = 0;
    ASSERT_TRUE(testing::eventually([&] {
        while (::zmq_recv(idle.get(), buffer.data(), buffer.size(), ZMQ_DONTWAIT) >= 0) ++read;
        return read == 2 * sent;  // The delimiter and the reply.
    }));
    EXPECT_EQ(server->send(idles, reply), SendOutcome::kSent);
}

TEST(Client, SaysAtOnceThatNobodyIsThere) {
    const TempDir dir;
    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client);
    EXPECT_EQ(client->send("x").error().code, ErrorCode::kUnavailable);
    EXPECT_FALSE(client->wait_connected(milliseconds(50)));
}

TEST(Client, SurvivesALostReplyAndARestartedServer) {
    const TempDir dir;
    std::optional<ServerSocket> server(std::move(*ServerSocket::open(endpoint_in(dir), 0600)));
    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    ASSERT_TRUE(client->send("one"));
    server.reset();  // Takes "one" with it.
    const unsigned before = client->losses();
    for (int rounds = 0; rounds < 500 && client->losses() == before; ++rounds)
        client->wait(milliseconds(20), -1);
    EXPECT_EQ(client->losses(), before + 1);
    EXPECT_FALSE(client->connected());
    EXPECT_FALSE(client->send("two"));
    server.emplace(std::move(*ServerSocket::open(endpoint_in(dir), 0600)));
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    ASSERT_TRUE(client->send("three"));
    echo_once(*server);
    EXPECT_EQ(wait_for_reply(*client), "re:three");
}

TEST(Client, ReconnectDropsLateReplies) {
    const TempDir dir;
    auto server = ServerSocket::open(endpoint_in(dir), 0600);
    auto client = Client::open(endpoint_in(dir));
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    ASSERT_TRUE(client->send("late"));
    Envelope envelope;
    std::string body;
    for (int rounds = 0;
         rounds < 500 && server->receive(envelope, body) != ReceiveOutcome::kRequest; ++rounds)
        server->wait(milliseconds(20), -1);
    client->reconnect();
    ASSERT_TRUE(client->wait_connected(milliseconds(5000)));
    (void)server->send(envelope,
                       "too late");  // Gone, or dropped: never delivered to the new connection.
    ASSERT_TRUE(client->send("fresh"));
    echo_once(*server);
    EXPECT_EQ(wait_for_reply(*client), "re:fresh");
}

}  // namespace
}  // namespace export_worker::transport
