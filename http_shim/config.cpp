#include "http_shim/config.hpp"

#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/options/config_file.hpp"
#include "base/text.hpp"

namespace export_worker::http_shim {
namespace {

using options::ConfigFile;
using options::Section;

Result<void> read_http(const ConfigFile& file, Config& config) {
    Section section = file.section("http");
    std::string listen;
    section.text("listen", listen);
    if (!listen.empty()) {
        const std::size_t colon = listen.rfind(':');
        const auto port = colon == std::string::npos
                              ? std::nullopt
                              : parse_unsigned(std::string_view(listen).substr(colon + 1));
        if (!port || *port > 65535) {
            section.refuse("listen", "expected ADDRESS:PORT, found '" + printable(listen) + "'");
        } else {
            config.listen_address = listen.substr(0, colon);
            config.listen_port = static_cast<std::uint16_t>(*port);
        }
    }
    std::string hosts;
    section.text("hosts", hosts);
    for (std::size_t begin = 0; begin < hosts.size();) {
        const std::size_t end = std::min(hosts.find_first_of(" ,", begin), hosts.size());
        if (end > begin) config.hosts.push_back(hosts.substr(begin, end - begin));
        begin = end + 1;
    }
    section.number("request_timeout_ms", config.request_timeout_ms, 100, limits::kDeadlineMaxMs);
    section.text("log_level", config.log_level);
    return section.finish();
}

Result<void> read_downloads(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("store")) {
        std::string kind;
        DownloadRoot download;
        std::string key_file;
        section.text("kind", kind);
        section.text("root", download.root);
        section.text("key_file", key_file);
        if (kind != "local") continue;
        download.name = section.name();
        EW_TRY(download.keys, LinkKeys::open(key_file));
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
    config.data_endpoint = "ipc://" + state_dir + "/run/data.sock";
    daemon.text("data_endpoint", config.data_endpoint);
    EW_CHECK(read_downloads(file, config));
    return config;
}

}  // namespace export_worker::http_shim
