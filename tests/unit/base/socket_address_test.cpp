#include "base/socket_address.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>

#include "base/unique_fd.hpp"

namespace export_worker {
namespace {

// A listener on a free port of 127.0.0.1.
struct Listener {
    UniqueFd fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    std::string address;

    Listener() {
        const auto any = parse_socket_address("127.0.0.1:0");
        EXPECT_EQ(::bind(fd.get(), any->data(), any->size), 0);
        EXPECT_EQ(::listen(fd.get(), 1), 0);
        SocketAddress bound;
        bound.size = sizeof bound.storage;
        ::getsockname(fd.get(), reinterpret_cast<sockaddr*>(&bound.storage), &bound.size);
        address = "127.0.0.1:" + std::to_string(bound.port());
    }
};

TEST(SocketAddress, HasFamilyAndPort) {
    const auto v4 = parse_socket_address("127.0.0.1:80");
    ASSERT_TRUE(v4);
    EXPECT_EQ(v4->data()->sa_family, AF_INET);
    EXPECT_EQ(v4->size, sizeof(sockaddr_in));
    EXPECT_EQ(v4->port(), 80);
    const auto v6 = parse_socket_address("[::1]:65535");
    ASSERT_TRUE(v6);
    EXPECT_EQ(v6->data()->sa_family, AF_INET6);
    EXPECT_EQ(v6->port(), 65535);
}

TEST(SocketAddress, RefusesNamesAndAmbiguousIPv6) {
    for (const char* bad : {"", "80", "localhost:80", "::1:80", "[127.0.0.1]:80", "[::1]", "[]:80",
                            "127.0.0.1:65536", "127.0.0.1:-1"})
        EXPECT_FALSE(parse_socket_address(bad)) << bad;
}

TEST(TryBind, TellsAnAddressInUseFromAFreeOne) {
    std::string address;
    {
        const Listener listener;
        address = listener.address;
        const auto taken = try_bind(address);
        ASSERT_FALSE(taken);
        EXPECT_EQ(taken.error().code, ErrorCode::kUnavailable);
        EXPECT_NE(taken.error().message.find("listen on " + address), std::string::npos);
        EXPECT_NE(taken.error().message.find("stop what listens there"), std::string::npos);
    }
    EXPECT_TRUE(try_bind(address));
}

TEST(TryBind, TellsAnAddressOfAnotherMachine) {
    const auto elsewhere = try_bind("192.0.2.1:0");
    ASSERT_FALSE(elsewhere);
    EXPECT_EQ(elsewhere.error().code, ErrorCode::kUnavailable);
    EXPECT_NE(elsewhere.error().message.find("no network interface of this machine has it"),
              std::string::npos)
        << elsewhere.error().message;
    EXPECT_EQ(elsewhere.error().message.find("stop what"), std::string::npos);
}

TEST(TryBind, RefusesWhatIsNoAddress) {
    EXPECT_EQ(try_bind("localhost:80").error().code, ErrorCode::kInvalidArgument);
}

}  // namespace
}  // namespace export_worker
