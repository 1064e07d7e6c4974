#include "daemon/http_client/public_address.hpp"

#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <span>

namespace export_worker::http {
namespace {

struct Block4 {
    std::uint32_t first;
    unsigned bits;
};
constexpr std::array<Block4, 15> kReserved4{{{0x00000000, 8},    // 0.0.0.0/8
                                             {0x0a000000, 8},    // 10.0.0.0/8
                                             {0x64400000, 10},   // 100.64.0.0/10
                                             {0x7f000000, 8},    // 127.0.0.0/8
                                             {0xa9fe0000, 16},   // 169.254.0.0/16
                                             {0xac100000, 12},   // 172.16.0.0/12
                                             {0xc0000000, 24},   // 192.0.0.0/24
                                             {0xc0000200, 24},   // 192.0.2.0/24
                                             {0xc0586300, 24},   // 192.88.99.0/24
                                             {0xc0a80000, 16},   // 192.168.0.0/16
                                             {0xc6120000, 15},   // 198.18.0.0/15
                                             {0xc6336400, 24},   // 198.51.100.0/24
                                             {0xcb007100, 24},   // 203.0.113.0/24
                                             {0xe0000000, 4},    // 224.0.0.0/4
                                             {0xf0000000, 4}}};  // 240.0.0.0/4

bool is_public4(std::uint32_t address) {
    return std::ranges::none_of(kReserved4, [&](const Block4& block) {
        return ((address ^ block.first) >> (32 - block.bits)) == 0;
    });
}

std::uint32_t number_of(std::span<const std::uint8_t> bytes) {
    std::uint32_t out = 0;
    for (const std::uint8_t byte : bytes) out = out << 8U | byte;
    return out;
}

bool is_public6(std::span<const std::uint8_t, 16> bytes) {
    const auto zero = [&](std::size_t first, std::size_t count) {
        return std::ranges::all_of(bytes.subspan(first, count),
                                   [](std::uint8_t byte) { return byte == 0; });
    };
    // IPv4 inside: mapped, compatible, NAT64 (64:ff9b::/96), 6to4 (2002::/16).
    if (zero(0, 10) && bytes[10] == 0xff && bytes[11] == 0xff)
        return is_public4(number_of(bytes.subspan(12, 4)));
    if (zero(0, 12)) return false;
    if (bytes[0] == 0x00 && bytes[1] == 0x64 && bytes[2] == 0xff && bytes[3] == 0x9b)
        return zero(4, 8) && is_public4(number_of(bytes.subspan(12, 4)));
    if (bytes[0] == 0x20 && bytes[1] == 0x02) return is_public4(number_of(bytes.subspan(2, 4)));
    // 2000::/3 is what is global unicast at all; 2001::/23, 2001:db8::/32 and 3fff::/20 in it are
    // not.
    if ((bytes[0] & 0xe0U) != 0x20U) return false;
    if (bytes[0] == 0x3f && bytes[1] == 0xff && bytes[2] < 0x10) return false;
    if (bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] < 0x02) return false;
    return !(bytes[0] == 0x20 && bytes[1] == 0x01 && bytes[2] == 0x0d && bytes[3] == 0xb8);
}

}  // namespace

bool is_public_address(const sockaddr& address) {
    if (address.sa_family == AF_INET) {
        sockaddr_in four{};
        std::memcpy(&four, &address, sizeof four);
        return is_public4(ntohl(four.sin_addr.s_addr));
    }
    if (address.sa_family != AF_INET6) return false;
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    return is_public6(std::span<const std::uint8_t, 16>(six.sin6_addr.s6_addr));
}

}  // namespace export_worker::http
