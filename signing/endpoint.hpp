// Where a store answers: "https://files.example.com:9000/prefix", taken apart.
#pragma once

#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::signing {

struct Endpoint {
    std::string scheme;  // "https://" or "http://"
    // As it is signed and sent: lower case, IPv6 in brackets, the port only when it is not the
    // scheme's own.
    std::string host;
    std::string path;  // Encoded; empty, or starts with a slash and does not end with one.
};

// The path is taken as plain text and encoded once.
// Errors: kInvalidArgument for anything but http or https, a host and an optional path.
[[nodiscard]] Result<Endpoint> parse_endpoint(std::string_view text);

// True when `host` cannot take a label in front: it is an IPv4 or IPv6 address.
[[nodiscard]] bool is_address(std::string_view host);

[[nodiscard]] std::string to_lower(std::string_view text);  // ASCII only.

}  // namespace export_worker::signing
