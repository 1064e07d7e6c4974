// CurveZMQ: who may connect over TCP, and proof of who the server is (RFC 25 and 26 of ZeroMQ).
//
// Keys are Curve25519, written in Z85: 40 characters.
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace export_worker::transport {

struct CurveKeys {
    std::string public_key;
    std::string secret_key;
};

// What a client needs: its own keys, and the server's public one.
struct CurveClient {
    CurveKeys keys;
    std::string server_key;
};

[[nodiscard]] CurveKeys make_curve_keys();
[[nodiscard]] bool is_curve_key(std::string_view text);
// A file with a secret key in its first line, readable by its owner (and group) only. Errors: those
// of secret files; kInvalidArgument for what is no key.
[[nodiscard]] Result<CurveKeys> read_curve_keys(const std::string& path);
// A public key in a file's first line. Errors: those of reading; kInvalidArgument for what is none.
[[nodiscard]] Result<std::string> read_curve_public_key(const std::string& path);
// The public keys in a file of lines "NAME KEY"; empty lines and those with '#' in front count for
// nothing. Errors: those of reading; kInvalidArgument naming the line; kResourceExhausted over
// kCurveClientsMax.
[[nodiscard]] Result<std::set<std::string>> read_curve_clients(const std::string& path);

}  // namespace export_worker::transport
