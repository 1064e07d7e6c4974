#include "daemon/http_client/public_address.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <cstring>
#include <string>

namespace export_worker::http {
namespace {

bool is_public(const std::string& text) {
    sockaddr_storage storage{};
    if (text.find(':') == std::string::npos) {
        sockaddr_in four{};
        four.sin_family = AF_INET;
        EXPECT_EQ(::inet_pton(AF_INET, text.c_str(), &four.sin_addr), 1) << text;
        std::memcpy(&storage, &four, sizeof four);
    } else {
        sockaddr_in6 six{};
        six.sin6_family = AF_INET6;
        EXPECT_EQ(::inet_pton(AF_INET6, text.c_str(), &six.sin6_addr), 1) << text;
        std::memcpy(&storage, &six, sizeof six);
    }
    // The function reads as much as the family says.
    return is_public_address(reinterpret_cast<const sockaddr&>(storage));
}

TEST(PublicAddress, TheInternetIsPublic) {
    for (const char* text :
         {"1.1.1.1",         "8.8.8.8",          "9.255.255.255",        "11.0.0.0",
          "100.63.255.255",  "100.128.0.0",      "126.255.255.255",      "128.0.0.0",
          "169.253.255.255", "169.255.0.0",      "172.15.255.255",       "172.32.0.0",
          "192.0.1.0",       "192.167.255.255",  "192.169.0.0",          "198.17.255.255",
          "198.20.0.0",      "223.255.255.255",  "2606:4700:4700::1111", "2001:4860:4860::8888",
          "2003::1",         "64:ff9b::808:808", "2002:808:808::1",      "::ffff:8.8.8.8"}) {
        EXPECT_TRUE(is_public(text)) << text;
    }
}

// The edges of every block that IANA's registries of special-purpose addresses reserve.
TEST(PublicAddress, WhatIsReservedIsNot) {
    for (const char* text : {"0.0.0.0",
                             "0.255.255.255",
                             "10.0.0.0",
                             "10.255.255.255",
                             "100.64.0.0",
                             "100.127.255.255",
                             "127.0.0.1",
                             "127.255.255.255",
                             "169.254.0.0",
                             "169.254.169.254",
                             "172.16.0.0",
                             "172.31.255.255",
                             "192.0.0.0",
                             "192.0.0.255",
                             "192.0.2.1",
                             "192.88.99.1",
                             "192.168.0.0",
                             "192.168.255.255",
                             "198.18.0.0",
                             "198.19.255.255",
                             "198.51.100.7",
                             "203.0.113.7",
                             "224.0.0.1",
                             "239.255.255.255",
                             "240.0.0.0",
                             "255.255.255.255",
                             "::",
                             "::1",
                             "::7f00:1",
                             "fe80::1",
                             "fc00::1",
                             "fdff::1",
                             "ff02::1",
                             "2001:db8::1",
                             "2001::1",
                             "2001:1ff::1",
                             "100::1",
                             "64:ff9b:1::1",
                             "5f00::1",
                             "3fff::1",
                             "3fff:fff:ffff::",
                             "::ffff:10.0.0.1",
                             "::ffff:127.0.0.1"}) {
        EXPECT_FALSE(is_public(text)) << text;
    }
}

// An IPv4 address inside of an IPv6 one leads to the same machine.
TEST(PublicAddress, PrivateAddressesInDisguiseAreNot) {
    for (const char* text : {"::ffff:169.254.169.254", "64:ff9b::a00:1", "64:ff9b::7f00:1",
                             "2002:a00:1::1", "2002:7f00:1::1", "2002:c0a8:101::"}) {
        EXPECT_FALSE(is_public(text)) << text;
    }
}

TEST(PublicAddress, OtherFamiliesAreNot) {
    sockaddr address{};
    address.sa_family = AF_UNIX;
    EXPECT_FALSE(is_public_address(address));
}

}  // namespace
}  // namespace export_worker::http
