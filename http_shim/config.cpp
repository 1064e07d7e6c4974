#include "http_shim/config.hpp"

#include <algorithm>
#include <array>

#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/options/config_file.hpp"
#include "base/text.hpp"
#include "http_shim/limits.hpp"
#include "protocol/message/limits.hpp"

namespace export_worker::http_shim {
namespace {

using options::ConfigFile;
using options::Section;

void addresses(Section& section, std::string_view key, std::string text, AddressList& target) {
    section.text(key, text);
    auto parsed = AddressList::parse(text);
    if (!parsed) return section.refuse(key, parsed.error().message);
    target = std::move(*parsed);
}

bool is_listener(std::string_view text) {
    if (text == "systemd" || text.starts_with("unix:/")) return true;
    const std::size_t colon = text.rfind(':');
    const auto port =
        colon == std::string_view::npos ? std::nullopt : parse_unsigned(text.substr(colon + 1));
    return port && *port <= 65535;
}

// Scheme, host and port as a browser sends them: lower case, nothing behind.
bool is_origin(std::string_view text) {
    const std::size_t scheme = text.find("://");
    if (text.substr(0, scheme) != "https" && text.substr(0, scheme) != "http") return false;
    const std::string_view authority = text.substr(scheme + 3);
    return !authority.empty() &&
           authority.find_first_of("/?#@ ABCDEFGHIJKLMNOPQRSTUVWXYZ*") == std::string_view::npos;
}

Result<void> read_curve(Section& section, Config& config) {
    std::string key_file;
    std::string server_file;
    section.text("curve_key_file", key_file);
    section.text("curve_server_key_file", server_file);
    if (key_file.empty() && server_file.empty()) return {};
    transport::CurveClient curve;
    EW_TRY(curve.keys, transport::read_curve_keys(key_file));
    EW_TRY(curve.server_key, transport::read_curve_public_key(server_file));
    config.curve = std::move(curve);
    return {};
}

Result<void> read_http(const ConfigFile& file, Config& config) {
    Section section = file.section("http");
    section.words("listen", config.listen);
    for (const std::string& each : config.listen) {
        if (!is_listener(each))
            section.refuse("listen", "expected ADDRESS:PORT, unix:/PATH or systemd, found '" +
                                         printable(each) + "'");
    }
    if (config.listen.size() > limits::kHttpListenersMax)
        section.refuse("listen", "expected at most " + std::to_string(limits::kHttpListenersMax));
    section.octal_mode("socket_mode", config.socket_mode);
    section.words("hosts", config.hosts);
    section.words("daemons", config.data_endpoints);
    EW_CHECK(read_curve(section, config));
    section.number("request_timeout_ms", config.request_timeout_ms, 100, limits::kDeadlineMaxMs);
    section.text("log_level", config.log_level);
    constexpr std::array<std::string_view, 3> kFormats{"text", "json", "journald"};
    section.choice("log_format", config.log_format, kFormats);
    addresses(section, "trusted_proxies", "", config.trusted_proxies);
    addresses(section, "metrics_from", "", config.metrics_from);
    section.boolean("docs", config.docs);
    section.words("cors_origins", config.cors_origins);
    for (const std::string& origin : config.cors_origins) {
        if (!is_origin(origin) && !(origin == "*" && config.cors_origins.size() == 1))
            section.refuse("cors_origins",
                           "expected origins such as https://app.example.com, or * alone, found '" +
                               printable(origin) + "'");
    }
    section.number("address_rate", config.address_rate, 0, limits::kHttpRateMax);
    section.number("address_burst", config.address_burst, 1, limits::kHttpRateMax);
    section.number("credential_rate", config.credential_rate, 0, limits::kHttpRateMax);
    section.number("credential_burst", config.credential_burst, 1, limits::kHttpRateMax);
    section.number("address_connections", config.address_connections_max, 0,
                   limits::kHttpConnectionsMax);
    return section.finish();
}

Result<void> read_downloads(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("store")) {
        std::string kind;
        downloads::DownloadRoot download;
        std::string key_file;
        section.text("kind", kind);
        section.text("root", download.root);
        section.text("key_file", key_file);
        if (kind != "local") continue;
        download.name = section.name().substr(std::string_view("store.").size());
        EW_TRY(download.keys, downloads::LinkKeys::open(key_file));
        config.downloads.push_back(std::move(download));
    }
    return {};
}

}  // namespace

Result<Config> read_config(const std::string& path) {
    EW_TRY(const ConfigFile file, ConfigFile::read(path));
    EW_CHECK(options::check_known_sections(file));
    Config config;
    EW_CHECK(read_http(file, config));
    // The daemon checks its own section; the shim only wants to know where it listens.
    Section daemon = file.section("daemon");
    std::string state_dir;
    daemon.text("state_dir", state_dir);
    std::string endpoint = "ipc://" + state_dir + "/run/data.sock";
    daemon.text("data_endpoint", endpoint);
    if (config.data_endpoints.empty()) config.data_endpoints.push_back(endpoint);
    EW_CHECK(read_downloads(file, config));
    return config;
}

}  // namespace export_worker::http_shim
