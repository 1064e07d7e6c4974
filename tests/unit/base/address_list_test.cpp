#include "base/address_list.hpp"

#include <gtest/gtest.h>

namespace export_worker {
namespace {

AddressList list(std::string_view words) {
    return std::move(*AddressList::parse(words));
}

TEST(AddressList, ContainsAddressesNetworksAndUnixPeers) {
    const AddressList some = list("10.0.0.0/8 192.0.2.7 2001:db8::/33 ::1 unix");
    for (const char* in : {"10.0.0.1", "10.255.255.255", "192.0.2.7", "::ffff:10.1.2.3",
                           "2001:db8::1", "2001:db8:7fff::1", "::1", "unix"})
        EXPECT_TRUE(some.contains(in)) << in;
    for (const char* out : {"11.0.0.1", "192.0.2.8", "2001:db8:8000::1", "::2", "", "nonsense"})
        EXPECT_FALSE(some.contains(out)) << out;
    EXPECT_FALSE(list("").contains("127.0.0.1"));
    EXPECT_TRUE(list("0.0.0.0/0").contains("203.0.113.9"));
    EXPECT_FALSE(list("0.0.0.0/0").contains("2001:db8::1"));
    for (const char* bad : {"10.0.0.0/33", "::/129", "host", "10.0.0.1/x", "10.0.0/8", "/8"})
        EXPECT_FALSE(AddressList::parse(bad)) << bad;
}

TEST(ClientAddress, BelievesOnlyProxiesOfOurs) {
    const AddressList proxies = list("127.0.0.1 10.0.0.0/8 unix");
    EXPECT_EQ(client_address("203.0.113.9", "198.51.100.1", proxies), "203.0.113.9");
    EXPECT_EQ(client_address("127.0.0.1", "", proxies), "127.0.0.1");
    EXPECT_EQ(client_address("127.0.0.1", "198.51.100.1", proxies), "198.51.100.1");
    // What the client itself has put in front counts for nothing.
    EXPECT_EQ(client_address("127.0.0.1", "1.2.3.4, 198.51.100.1", proxies), "198.51.100.1");
    EXPECT_EQ(client_address("127.0.0.1", "198.51.100.1, 10.0.0.5", proxies), "198.51.100.1");
    EXPECT_EQ(client_address("unix", "2001:db8::9", proxies), "2001:db8::9");
    EXPECT_EQ(client_address("127.0.0.1", "10.0.0.1,10.0.0.2", proxies), "10.0.0.1");
    EXPECT_EQ(client_address("127.0.0.1", "198.51.100.1, unknown", proxies), "127.0.0.1");
    // As load balancers write them.
    EXPECT_EQ(client_address("127.0.0.1", "198.51.100.1:4711", proxies), "198.51.100.1");
    EXPECT_EQ(client_address("127.0.0.1", "[2001:db8::9]:4711", proxies), "2001:db8::9");
    EXPECT_EQ(client_address("127.0.0.1", "[2001:db8::9]", proxies), "2001:db8::9");
    EXPECT_EQ(client_address("127.0.0.1", "\"[2001:db8::9]:1\"", proxies), "2001:db8::9");
    EXPECT_EQ(client_address("127.0.0.1", "[2001:db8::9", proxies), "127.0.0.1");
    EXPECT_EQ(client_address("127.0.0.1", ",,", proxies), "127.0.0.1");
}

TEST(ClientAddress, HasOneSpelling) {
    const AddressList proxies = list("127.0.0.1");
    for (const char* same : {"30.0.0.1", "::ffff:30.0.0.1", "[::FFFF:30.0.0.1]:80", "::ffff:1e00:1",
                             "0:0:0:0:0:ffff:1e00:0001"})
        EXPECT_EQ(client_address("127.0.0.1", same, proxies), "30.0.0.1") << same;
    EXPECT_EQ(client_address("127.0.0.1", "2001:DB8:0::09", proxies), "2001:db8::9");
}

TEST(LimitGroup, IsAHouseholdNotAnAddressOfIpv6) {
    EXPECT_EQ(limit_group("192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(limit_group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(limit_group("2001:db8:1:2::1"), "2001:db8:1:2::/64");
    EXPECT_EQ(limit_group("unix"), "unix");
    EXPECT_EQ(limit_group("::ffff:192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(limit_group("::"), "::/64") << "not taken for an IPv4 address";
}

// A proxy on the same machine has a listed address, whoever asks it.
TEST(IsListedClient, LooksBehindProxies) {
    const auto list = [](const char* words) { return *AddressList::parse(words); };
    const AddressList listed = list("127.0.0.1 ::1 unix 192.0.2.0/24");
    const auto direct = [&](const std::string& peer, std::string_view forwarded_for = "",
                            std::string_view forwarded = "") {
        return is_listed_client({peer, forwarded_for, forwarded}, AddressList(), listed);
    };
    EXPECT_TRUE(direct("127.0.0.1"));
    EXPECT_TRUE(direct("unix"));
    EXPECT_FALSE(direct("198.51.100.1"));
    EXPECT_FALSE(direct("127.0.0.1", "198.51.100.1"));
    EXPECT_FALSE(direct("127.0.0.1", "192.0.2.1"));
    EXPECT_FALSE(direct("127.0.0.1", "", "for=192.0.2.1"));
    EXPECT_FALSE(direct("unix", "127.0.0.1"));
    const auto proxied = [&](const std::string& peer, std::string_view forwarded_for = "",
                             std::string_view forwarded = "") {
        return is_listed_client({peer, forwarded_for, forwarded}, list("127.0.0.1 unix"), listed);
    };
    EXPECT_TRUE(proxied("127.0.0.1"));
    EXPECT_TRUE(proxied("unix", "192.0.2.9"));
    EXPECT_FALSE(proxied("unix", "198.51.100.1"));
    EXPECT_FALSE(proxied("unix", "192.0.2.9, 198.51.100.1"));
    EXPECT_FALSE(proxied("unix", "", "for=192.0.2.9"));
    EXPECT_FALSE(proxied("127.0.0.1", "unknown"));
    EXPECT_FALSE(proxied("unix", "127.0.0.1"));
    EXPECT_FALSE(proxied("192.0.2.200", "192.0.2.9"));
}

TEST(AddressAndPort, IsAnAddressAndNoName) {
    for (const char* good :
         {"127.0.0.1:0", "0.0.0.0:65535", "[::1]:80", "[::]:8080", "[fe80::1%eth0]:1"})
        EXPECT_TRUE(is_address_and_port(good)) << good;
    for (const char* bad :
         {"", "abc", "8080", ":80", "127.0.0.1", "127.0.0.1:", "127.0.0.1:65536", "127.0.0.1:x",
          "localhost:80", "::1:80", "[::1]", "[127.0.0.1]:80", "[]:80"})
        EXPECT_FALSE(is_address_and_port(bad)) << bad;
}

}  // namespace
}  // namespace export_worker
