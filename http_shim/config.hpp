// The shim's part of the configuration file: [http], where the daemons listen, and the local
// stores.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/address_list.hpp"
#include "base/options/config_file.hpp"
#include "base/result.hpp"
#include "downloads/download.hpp"
#include "http_shim/limits.hpp"
#include "protocol/transport/curve.hpp"

namespace export_worker::http_shim {

struct Config {
    std::string path;              // Of the file.
    options::ConfigValues values;  // As the file has them.
    // "ADDRESS:PORT", "unix:/path" and "systemd" (the sockets systemd has handed over).
    std::vector<std::string> listen{"127.0.0.1:8080"};
    unsigned socket_mode = 0660;  // Of Unix sockets.
    std::vector<std::string>
        hosts;  // Host headers to accept, each with any port or one; empty: any.
    std::uint32_t request_timeout_ms = 10'000;
    std::string log_level = "info";
    std::string log_format = "text";
    std::uint64_t access_log_sample = 1;  // One of so many good requests gets a line; 1: each.
    std::vector<std::string> data_endpoints;
    std::optional<transport::CurveClient> curve;  // For those over TCP.
    std::vector<downloads::DownloadRoot> downloads;
    AddressList trusted_proxies;
    AddressList metrics_from;  // Clients that may read /metrics; empty: none.
    bool docs = true;          // /docs is answered.
    // Origins ("https://app.example.com") whose pages may read answers and use the session cookie;
    // or "*" alone: any page, without the cookie.
    std::vector<std::string> cors_origins;
    // Requests a second and at once after a pause, of one address and of one credential; 0: any.
    // Addresses of this machine have no such bound: they are a proxy or an operator.
    std::uint64_t address_rate = limits::kHttpRatePerAddressDefault;
    std::uint64_t address_burst = limits::kHttpBurstPerAddressDefault;
    std::uint64_t credential_rate = 0;
    std::uint64_t credential_burst = 100;
    std::size_t address_connections_max =
        limits::kHttpConnectionsPerAddressDefault;  // 0: any number.
};

// Errors: kInvalidArgument, naming file, section and key; those of reading a key file. `problems`:
// collects what is wrong with values and key files; null: the first is the error.
[[nodiscard]] Result<Config> read_config(const std::string& path,
                                         options::Problems* problems = nullptr);

}  // namespace export_worker::http_shim
