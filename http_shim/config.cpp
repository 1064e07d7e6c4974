#include "http_shim/config.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <optional>

#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/options/config_file.hpp"
#include "base/options/config_keys.hpp"
#include "base/text.hpp"
#include "http_shim/limits.hpp"
#include "protocol/message/limits.hpp"
#include "protocol/transport/endpoint.hpp"
#include "protocol/transport/limits.hpp"

namespace export_worker::http_shim {
namespace {

using options::ConfigFile;
using options::Section;

void addresses(Section& section, std::string_view key, std::string text, AddressList& target) {
    section.text(key, text);
    auto parsed = AddressList::parse(text);
    if (!parsed) return section.add_error(key, parsed.error().message);
    target = std::move(*parsed);
}

bool is_unix_listener(std::string_view text) {
    constexpr std::string_view kScheme = "unix:";
    return text.starts_with(kScheme) &&
           transport::ipc_path("ipc://" + std::string(text.substr(kScheme.size()))).has_value();
}

void read_listen(Section& section, Config& config) {
    section.words("listen", config.listen);
    for (const std::string& each : config.listen) {
        if (each != "systemd" && !is_unix_listener(each) && !is_address_and_port(each))
            section.add_error("listen",
                              "expected ADDRESS:PORT with an IP address, unix:/PATH or systemd, "
                              "found '" +
                                  printable(each) + "'");
    }
    std::vector<std::string> sorted = config.listen;
    std::ranges::sort(sorted);
    const auto twice = std::ranges::adjacent_find(sorted);
    if (twice != sorted.end())
        section.add_error("listen",
                          "expected each address once, found '" + printable(*twice) + "' twice");
    if (config.listen.size() > limits::kHttpListenersMax)
        section.add_error("listen",
                          "expected at most " + std::to_string(limits::kHttpListenersMax));
}

// A name or an address, with a port or without one.
void read_hosts(Section& section, Config& config) {
    section.words("hosts", config.hosts);
    for (const std::string& host : config.hosts) {
        if (host.find_first_of("/?#@*") != std::string::npos)
            section.add_error("hosts",
                              "expected names such as api.example.com or api.example.com:8443, "
                              "found '" +
                                  printable(host) + "'");
    }
}

void read_daemons(Section& section, Config& config) {
    section.words("daemons", config.data_endpoints);
    if (config.data_endpoints.size() > limits::kPoolDaemonsMax)
        section.add_error("daemons", "expected at most " + std::to_string(limits::kPoolDaemonsMax));
    for (const std::string& each : config.data_endpoints) {
        const bool is_tcp = transport::is_tcp(each);
        if (is_tcp ? !transport::tcp_port(each) : !transport::ipc_path(each))
            section.add_error(
                "daemons",
                "expected ipc:///PATH or tcp://ADDRESS:PORT with an IP address, found "
                "'" +
                    printable(each) + "'");
        if (is_tcp && !config.curve)
            section.add_error(
                "curve_key_file",
                "missing; expected it and curve_server_key_file for '" + printable(each) + "'");
    }
}

// Scheme, host and port as a browser sends them: lower case, nothing behind.
bool is_origin(std::string_view text) {
    const std::size_t scheme = text.find("://");
    if (text.substr(0, scheme) != "https" && text.substr(0, scheme) != "http") return false;
    const std::string_view authority = text.substr(scheme + 3);
    return !authority.empty() &&
           authority.find_first_of("/?#@ ABCDEFGHIJKLMNOPQRSTUVWXYZ*") == std::string_view::npos;
}

Result<transport::CurveClient> open_curve(const std::string& key_file,
                                          const std::string& server_file) {
    transport::CurveClient curve;
    EW_TRY(curve.keys, transport::read_curve_keys(key_file));
    EW_TRY(curve.server_key, transport::read_curve_public_key(server_file));
    return curve;
}

Result<void> read_curve(const ConfigFile& file, Section& section, Config& config) {
    std::string key_file;
    std::string server_file;
    section.text("curve_key_file", key_file);
    section.text("curve_server_key_file", server_file);
    if (key_file.empty() != server_file.empty()) {
        const bool no_key = key_file.empty();
        section.add_error(no_key ? "curve_key_file" : "curve_server_key_file",
                          std::string("missing; required with ") +
                              (no_key ? "curve_server_key_file" : "curve_key_file"));
    }
    if (key_file.empty() || server_file.empty()) return {};
    auto curve = open_curve(key_file, server_file);
    if (!curve) EW_CHECK(file.report(curve.error()));
    config.curve = curve ? std::move(*curve) : transport::CurveClient();
    return {};
}

Result<void> read_http(const ConfigFile& file, Config& config) {
    Section section = file.section("http");
    read_listen(section, config);
    section.socket_mode("socket_mode", config.socket_mode, true);
    read_hosts(section, config);
    EW_CHECK(read_curve(file, section, config));
    read_daemons(section, config);
    section.number("request_timeout_ms", config.request_timeout_ms, 100, limits::kDeadlineMaxMs);
    constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warn", "error"};
    section.choice("log_level", config.log_level, kLevels);
    constexpr std::array<std::string_view, 3> kFormats{"text", "json", "journald"};
    section.choice("log_format", config.log_format, kFormats);
    section.number("access_log_sample", config.access_log_sample, 1,
                   limits::kHttpAccessLogSampleMax);
    addresses(section, "trusted_proxies", "", config.trusted_proxies);
    addresses(section, "metrics_from", "", config.metrics_from);
    section.boolean("docs", config.docs);
    section.words("cors_origins", config.cors_origins);
    for (const std::string& origin : config.cors_origins) {
        if (!is_origin(origin) && !(origin == "*" && config.cors_origins.size() == 1))
            section.add_error(
                "cors_origins",
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

// Of state_dir, who may own the link keys; nullopt: it is not there.
std::optional<uid_t> owner_of(const std::string& state_dir) {
    struct stat info {};
    return ::stat(state_dir.c_str(), &info) == 0 ? std::optional(info.st_uid) : std::nullopt;
}

Result<void> read_downloads(const ConfigFile& file, const std::string& state_dir, Config& config) {
    for (Section& section : file.sections("store")) {
        downloads::DownloadRoot download;
        std::string key_file;
        if (options::read_store_kind(section) != "local") {
            (void)section.take_rest();  // The daemon's.
            EW_CHECK(section.finish());
            continue;
        }
        section.directory("root", download.root);
        section.required_text("key_file", key_file);
        (void)section.take_rest();  // The daemon's.
        EW_CHECK(section.finish());
        download.name = section.name().substr(std::string_view("store.").size());
        if (key_file.empty()) continue;  // Told already.
        auto keys = downloads::LinkKeys::open(key_file, owner_of(state_dir));
        if (!keys) {
            EW_CHECK(file.report(keys.error()));
            continue;
        }
        download.keys = std::move(*keys);
        download.is_marked = download.name == options::export_store_of(config.values);
        config.downloads.push_back(std::move(download));
    }
    return {};
}

}  // namespace

Result<Config> read_config(const std::string& path, options::Problems* problems) {
    EW_TRY(const ConfigFile file, ConfigFile::read(path, problems));
    EW_CHECK(options::check_known_keys(file));
    Config config;
    config.path = path;
    config.values = file.values();
    EW_CHECK(read_http(file, config));
    // The daemon checks its own section; the shim only wants to know where it listens.
    Section daemon = file.section("daemon");
    std::string state_dir;
    daemon.text("state_dir", state_dir);
    std::string endpoint = "ipc://" + state_dir + "/run/data.sock";
    daemon.text("data_endpoint", endpoint);
    if (const auto socket = transport::ipc_path(endpoint); !socket)
        daemon.add_error("data_endpoint", socket.error().message);
    if (state_dir.empty() && !daemon.has("data_endpoint") && config.data_endpoints.empty())
        daemon.add_error("state_dir", "missing; expected it, or [http] daemons");
    (void)daemon.take_rest();
    EW_CHECK(daemon.finish());
    if (config.data_endpoints.empty()) config.data_endpoints.push_back(endpoint);
    EW_CHECK(read_downloads(file, state_dir, config));
    return config;
}

}  // namespace export_worker::http_shim
