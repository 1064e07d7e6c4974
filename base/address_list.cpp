#include "base/address_list.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <cstring>
#include <optional>

#include "base/limits.hpp"
#include "base/socket_address.hpp"
#include "base/text.hpp"

namespace export_worker {
namespace {

using Bytes = std::array<std::uint8_t, 16>;

constexpr Bytes kMapped{0, 0, 0,    0,    0, 0, 0, 0,
                        0, 0, 0xff, 0xff, 0, 0, 0, 0};  // RFC 4291, 2.5.5.2.

std::optional<Bytes> parse_address(std::string_view text) {
    char copy[INET6_ADDRSTRLEN] = {};
    if (text.size() >= sizeof copy) return std::nullopt;
    text.copy(copy, text.size());
    Bytes out = kMapped;
    if (::inet_pton(AF_INET, copy, out.data() + 12) == 1) return out;
    if (::inet_pton(AF_INET6, copy, out.data()) == 1) return out;
    return std::nullopt;
}

bool is_mapped(const Bytes& address) {
    return std::equal(kMapped.begin(), kMapped.begin() + 12, address.begin());
}

bool shares_bits(const Bytes& left, const Bytes& right, unsigned bits) {
    const unsigned whole = bits / 8;
    if (!std::equal(left.begin(), left.begin() + whole, right.begin())) return false;
    const unsigned rest = bits % 8;
    return rest == 0 || (left[whole] ^ right[whole]) >> (8 - rest) == 0;
}

// The one spelling of an address: an IPv4 one in IPv6's form (::ffff:192.0.2.1) is that IPv4 one.
std::string text_of(const Bytes& address) {
    char text[INET6_ADDRSTRLEN] = {};
    if (is_mapped(address))
        ::inet_ntop(AF_INET, address.data() + 12, text, sizeof text);
    else
        ::inet_ntop(AF_INET6, address.data(), text, sizeof text);
    return text;
}

std::string_view trim(std::string_view text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
    while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
    return text;
}

// What a proxy writes beside an address: "1.2.3.4:5678", "[::1]", "[::1]:80", quotes.
std::string_view without_port(std::string_view said) {
    if (said.size() >= 2 && said.starts_with('"') && said.ends_with('"'))
        said = said.substr(1, said.size() - 2);
    if (said.starts_with('[')) {
        const std::size_t close = said.find(']');
        return close == std::string_view::npos ? said : said.substr(1, close - 1);
    }
    const std::size_t colon = said.find(':');
    const bool one_colon =
        colon != std::string_view::npos && said.find(':', colon + 1) == std::string_view::npos;
    return one_colon ? said.substr(0, colon) : said;
}

}  // namespace

Result<AddressList> AddressList::parse(std::string_view words) {
    AddressList out;
    while (!(words = trim(words)).empty()) {
        const std::string_view word = words.substr(0, words.find(' '));
        words.remove_prefix(word.size());
        if (word == "unix") {
            out.unix_ = true;
            continue;
        }
        const std::size_t slash = word.find('/');
        const auto address = parse_address(word.substr(0, slash));
        const bool v4 = word.find(':') == std::string_view::npos;
        const auto bits = slash == std::string_view::npos
                              ? std::optional<std::uint64_t>(v4 ? 32 : 128)
                              : parse_unsigned(word.substr(slash + 1));
        if (!address || !bits || *bits > (v4 ? 32 : 128) ||
            out.networks_.size() == limits::kHttpTrustedProxiesMax)
            return fail(ErrorCode::kInvalidArgument,
                        "expected addresses, networks such as 10.0.0.0/8, or 'unix', at most " +
                            std::to_string(limits::kHttpTrustedProxiesMax) + "; found '" +
                            printable(word) + "'");
        out.networks_.push_back({*address, static_cast<unsigned>(*bits) + (v4 ? 96 : 0)});
    }
    return out;
}

bool AddressList::contains(std::string_view address) const {
    if (address == "unix") return unix_;
    const auto parsed = parse_address(address);
    return parsed && std::ranges::any_of(networks_, [&](const Network& network) {
               return shares_bits(*parsed, network.first, network.bits);
           });
}

std::string client_address(const std::string& peer, std::string_view forwarded_for,
                           const AddressList& proxies) {
    std::string client = peer;
    // From the nearest hop outwards, as long as whoever says so is believed.
    while (proxies.contains(client) && !forwarded_for.empty()) {
        const std::size_t comma = forwarded_for.rfind(',');
        const bool last = comma == std::string_view::npos;
        const std::string_view said =
            without_port(trim(last ? forwarded_for : forwarded_for.substr(comma + 1)));
        const auto address = parse_address(said);
        if (!address) break;
        client = text_of(*address);
        forwarded_for = last ? std::string_view() : forwarded_for.substr(0, comma);
    }
    return client;
}

bool is_listed_client(const RequestOrigin& origin, const AddressList& proxies,
                      const AddressList& listed) {
    const std::string client = client_address(origin.peer, origin.forwarded_for, proxies);
    const bool through_proxy = !origin.forwarded_for.empty() || !origin.forwarded.empty();
    if (through_proxy && (client == origin.peer || proxies.contains(client))) return false;
    return listed.contains(client);
}

bool is_local(const std::string& peer) {
    static const AddressList local = *AddressList::parse("127.0.0.0/8 ::1 unix");
    return local.contains(peer);
}

std::string limit_group(const std::string& address) {
    auto bytes = parse_address(address);
    if (!bytes) return address;
    if (is_mapped(*bytes)) return text_of(*bytes);
    std::fill(bytes->begin() + 8, bytes->end(), std::uint8_t{0});
    return text_of(*bytes) + "/64";
}

bool is_address_and_port(std::string_view text) {
    return parse_socket_address(text).has_value();
}

}  // namespace export_worker
