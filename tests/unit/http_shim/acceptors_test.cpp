#include "http_shim/acceptors.hpp"

#include <gtest/gtest.h>

namespace export_worker::http_shim {
namespace {

TEST(LeavesIpv4, OnlyToAnEntryOfTheSamePort) {
    EXPECT_TRUE(leaves_ipv4("[::]:80", {"0.0.0.0:80", "[::]:80"}));
    EXPECT_TRUE(leaves_ipv4("[::]:80", {"[::]:80", "127.0.0.1:80"}));
    EXPECT_FALSE(leaves_ipv4("[::]:80", {"[::]:80"})) << "it takes both";
    EXPECT_FALSE(leaves_ipv4("[::]:80", {"0.0.0.0:8080", "[::]:80", "unix:/run/x"}));
    EXPECT_FALSE(leaves_ipv4("0.0.0.0:80", {"0.0.0.0:80", "[::]:80"}));
}

}  // namespace
}  // namespace export_worker::http_shim
