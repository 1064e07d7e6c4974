// Listed addresses and networks, and the client a request comes from: the peer, or the address
// that a listed proxy names.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker {

// Addresses and networks: "10.0.0.0/8", "::1", and "unix" for peers on a Unix socket.
class AddressList {
public:
    // `words` with blanks between them. Errors: kInvalidArgument, naming the word.
    [[nodiscard]] static Result<AddressList> parse(std::string_view words);
    // "unix", or an address as text; anything else is in no list.
    [[nodiscard]] bool contains(std::string_view address) const;

private:
    struct Network {
        std::array<std::uint8_t, 16> first;  // IPv4 as mapped addresses.
        unsigned bits = 128;
    };
    std::vector<Network> networks_;
    bool unix_ = false;
};

// "127.0.0.1:80", "[::1]:80": an IP address, not a name, and a port from 0 to 65535.
[[nodiscard]] bool is_address_and_port(std::string_view text);

// The last address in X-Forwarded-For that is no proxy of ours; `peer` itself when it is none, and
// whatever it says then. `forwarded_for`: the field's lines, joined by commas; an address may have
// a port, brackets and quotes. What it names comes in one spelling: 192.0.2.1 for
// ::ffff:192.0.2.1, lower case and shortest for IPv6.
[[nodiscard]] std::string client_address(const std::string& peer, std::string_view forwarded_for,
                                         const AddressList& proxies);

// How a request came here.
struct RequestOrigin {
    const std::string& peer;  // "unix", or an address.
    // The fields X-Forwarded-For and Forwarded; empty: not there.
    std::string_view forwarded_for = {};
    std::string_view forwarded = {};
};
// Whether the client of a request is listed. A request that came through a proxy, ours or not, is
// its client's, whom one of `proxies` must name in X-Forwarded-For; else its client is not known,
// and the answer no.
[[nodiscard]] bool is_listed_client(const RequestOrigin& origin, const AddressList& proxies,
                                    const AddressList& listed);

// 127.0.0.0/8, ::1, or "unix": a peer on this machine, for instance a reverse proxy.
[[nodiscard]] bool is_local(const std::string& peer);
// What a limit counts together: an IPv4 address, an IPv6 network of 64 bits (one household or
// machine has that many addresses), or "unix".
[[nodiscard]] std::string limit_group(const std::string& address);

}  // namespace export_worker
