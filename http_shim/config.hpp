// The shim's part of the configuration file: [http], where the daemon listens, and the local
// stores.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "http_shim/link_keys.hpp"

namespace export_worker::http_shim {

// A directory whose files the shim serves to holders of a signed link.
struct DownloadRoot {
    std::string name;
    std::string root;
    std::shared_ptr<LinkKeys> keys;
};

struct Config {
    std::string listen_address = "127.0.0.1";
    std::uint16_t listen_port = 8080;
    std::vector<std::string> hosts;  // Host headers to accept; empty: any.
    std::uint32_t request_timeout_ms = 10'000;
    std::string log_level = "info";
    std::string data_endpoint;
    std::vector<DownloadRoot> downloads;
};

// Errors: kInvalidArgument, naming file, section and key; those of reading a key file.
[[nodiscard]] Result<Config> read_config(const std::string& path);

}  // namespace export_worker::http_shim
