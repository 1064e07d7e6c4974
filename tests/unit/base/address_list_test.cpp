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

TEST(LimitGroup, IsAHouseholdNotAnAddressOfIpv6) {
    EXPECT_EQ(limit_group("192.0.2.7"), "192.0.2.7");
    EXPECT_EQ(limit_group("2001:db8:1:2:3:4:5:6"), "2001:db8:1:2::/64");
    EXPECT_EQ(limit_group("2001:db8:1:2::1"), "2001:db8:1:2::/64");
    EXPECT_EQ(limit_group("unix"), "unix");
}

}  // namespace
}  // namespace export_worker
