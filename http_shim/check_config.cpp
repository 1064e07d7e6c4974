#include "http_shim/check_config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <filesystem>

#include "base/command.hpp"
#include "base/http_probe.hpp"
#include "base/io.hpp"
#include "base/socket_address.hpp"
#include "base/unix_socket.hpp"
#include "base/user_name.hpp"
#include "http_shim/acceptors.hpp"
#include "http_shim/limits.hpp"
#include "http_shim/request_head.hpp"
#include "protocol/transport/client.hpp"
#include "protocol/transport/endpoint.hpp"

namespace export_worker::http_shim {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kUnix = "unix:";
constexpr const char* kSocketUnit = "export-httpd.socket";

class Checker {
public:
    Checker(const Config& config, const options::Problems& told) : config_(config), told_(told) {}
    options::ConfigCheck run() {
        check_user();
        for (const std::string& where : config_.listen) check_listener(where);
        for (const downloads::DownloadRoot& root : config_.downloads) check_store(root);
        check_daemons();
        check_proxies();
        check_hosts();
        return std::move(out_);
    }

private:
    // `where`: the section and the key.
    void complain(const std::string& where, ErrorCode code, const std::string& what) {
        if (!options::is_told(told_, where)) out_.complaints.push_back({code, where + ": " + what});
    }
    void warn(const std::string& where, const std::string& what) {
        out_.warnings.push_back(where + ": " + what);
    }
    void note(const std::string& where, const std::string& what) {
        out_.notes.push_back(where + ": " + what);
    }
    void check_user();
    void check_listener(const std::string& where);
    void check_tcp_listener(const std::string& where);
    void check_unix_listener(const std::string& where);
    bool is_held_by_systemd(const std::string& where);
    bool is_held_by_shim(const std::string& where, Listener listener);
    void complain_of_silent(const std::string& where);
    void check_store(const downloads::DownloadRoot& root);
    void check_key_owner(const std::string& where, const std::string& key_file);
    void check_daemons();
    void check_daemon_socket(const std::string& endpoint, const std::string& path);
    void check_proxies();
    void check_hosts();
    [[nodiscard]] std::string value(const std::string& section, const std::string& key) const;

    const Config& config_;
    const options::Problems& told_;
    options::ConfigCheck out_;
};

std::string Checker::value(const std::string& section, const std::string& key) const {
    const auto found = config_.values.find(section);
    if (found == config_.values.end()) return {};
    const auto value = found->second.find(key);
    return value == found->second.end() ? std::string() : value->second;
}

// Root may open everything, which says nothing about the user of the service.
void Checker::check_user() {
    if (::geteuid() == 0)
        out_.notes.push_back(
            "checked as root, who may open every file; check as the user of the service: runuser "
            "-u "
            "export-httpd -- export-httpd --check-config --config " +
            config_.path);
}

// The addresses that systemd holds for export-httpd, as systemctl prints them; empty: none, or no
// systemd. They are not connected to: that would start the service.
std::string sockets_of_systemd() {
    const auto shown = run_command(
        {"systemctl", "show", kSocketUnit, "--property=ActiveState", "--property=Listen"},
        limits::kHttpCheckTimeout);
    const bool active = shown && shown->output.find("ActiveState=active") != std::string::npos;
    return active ? shown->output : std::string();
}

std::string frozen() {
    return "it does not answer /livez within " + std::to_string(limits::kHttpCheckTimeout.count()) +
           " s: if it is export-httpd, it is frozen: systemctl restart export-httpd";
}

bool Checker::is_held_by_systemd(const std::string& where) {
    const std::string listed = where.starts_with(kUnix) ? where.substr(kUnix.size()) : where;
    if (sockets_of_systemd().find("Listen=" + listed + " ") == std::string::npos) return false;
    note("[http] listen", where + " is held by " + kSocketUnit + " and was not tried");
    return true;
}

bool Checker::is_held_by_shim(const std::string& where, Listener listener) {
    if (listener != Listener::kExportHttpd) return false;
    note("[http] listen", "an export-httpd runs on " + where + ": the address was not tried");
    return true;
}

void Checker::complain_of_silent(const std::string& where) {
    complain("[http] listen", ErrorCode::kUnavailable,
             "another process listens on " + where + "; " + frozen());
}

void Checker::check_listener(const std::string& where) {
    if (where == "systemd")
        return note("[http] listen", "the sockets of export-httpd.socket were not looked at");
    if (where.starts_with(kUnix)) return check_unix_listener(where);
    check_tcp_listener(where);
}

void Checker::check_tcp_listener(const std::string& where) {
    const auto bound = try_bind(where, leaves_ipv4(where, config_.listen));
    if (bound || is_held_by_systemd(where)) return;
    const Listener listener = bound.error().code == ErrorCode::kUnavailable
                                  ? who_listens(where, limits::kHttpCheckTimeout)
                                  : Listener::kOther;
    if (is_held_by_shim(where, listener)) return;
    if (listener == Listener::kSilent) return complain_of_silent(where);
    complain("[http] listen", bound.error().code, bound.error().message);
}

void Checker::check_unix_listener(const std::string& where) {
    const std::string path = where.substr(kUnix.size());
    struct stat info {};
    if (::lstat(path.c_str(), &info) == 0 && !S_ISSOCK(info.st_mode))
        return complain("[http] listen", ErrorCode::kFailedPrecondition,
                        "expected a socket or nothing at " + path +
                            ", found something else; remove it, or name another path");
    if (is_held_by_systemd(where)) return;
    if (is_socket_in_use(path)) {
        const Listener listener = who_listens(where, limits::kHttpCheckTimeout);
        if (!is_held_by_shim(where, listener))
            complain("[http] listen", ErrorCode::kUnavailable,
                     "another process listens on " + path + "; stop it, or name another path" +
                         (listener == Listener::kSilent ? "; " + frozen() : ""));
        return;
    }
    fs::path directory = fs::path(path).parent_path();
    std::error_code ignored;
    while (!fs::exists(directory, ignored) && directory.has_relative_path())
        directory = directory.parent_path();
    if (::access(directory.c_str(), W_OK | X_OK) == 0) return;
    const int number = errno;
    complain("[http] listen", ErrorCode::kFailedPrecondition,
             errno_error("make a socket in " + directory.string(), number).message +
                 "; expected a directory that " + user_name(::geteuid()) +
                 " may write, such as /run/export-worker, which the unit makes");
}

void Checker::check_store(const downloads::DownloadRoot& root) {
    const std::string section = "store." + root.name;
    check_key_owner("[" + section + "] key_file", value(section, "key_file"));
    const std::string where = "[" + section + "] root";
    struct stat info {};
    if (::stat(root.root.c_str(), &info) != 0) {
        const int number = errno;
        if (number == ENOENT && root.is_marked)
            return note(where, root.root + " is not there yet; the daemon makes it");
        if (number == ENOENT)
            return warn(where, root.root +
                                   " is not there: its links are answered 503; mount it, or make "
                                   "it");
        return complain(where, ErrorCode::kFailedPrecondition,
                        errno_error("open " + root.root, number).message +
                            "; add the user of export-httpd to the group of the directory");
    }
    if (!S_ISDIR(info.st_mode))
        return complain(where, ErrorCode::kFailedPrecondition,
                        "expected a directory, found a file: " + root.root);
    if (::access(root.root.c_str(), X_OK) == 0) return;
    const int number = errno;
    complain(where, ErrorCode::kFailedPrecondition,
             errno_error("open files in " + root.root, number).message + "; expected that " +
                 user_name(::geteuid()) +
                 " may enter it: add it to the group of the directory, chmod 750");
}

// A user who owns the file can put keys of their own there.
void Checker::check_key_owner(const std::string& where, const std::string& key_file) {
    struct stat key {};
    struct stat state {};
    if (::stat(key_file.c_str(), &key) != 0 || key.st_uid == 0 || key.st_uid == ::geteuid()) return;
    const bool of_daemon =
        ::stat(value("daemon", "state_dir").c_str(), &state) == 0 && state.st_uid == key.st_uid;
    if (!of_daemon)
        warn(where, key_file + " belongs to " + user_name(key.st_uid) +
                        ", who can replace the keys; expected root, or the user of the daemon");
}

void Checker::check_daemons() {
    const auto end = std::chrono::steady_clock::now() + limits::kHttpCheckTimeout;
    for (const std::string& endpoint : config_.data_endpoints) {
        if (const auto path = transport::ipc_path(endpoint)) {
            check_daemon_socket(endpoint, *path);
            continue;
        }
        auto client = transport::Client::open(endpoint, config_.curve ? &*config_.curve : nullptr);
        if (!client) {
            complain("[http] daemons", client.error().code, client.error().message);
            continue;
        }
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
            end - std::chrono::steady_clock::now());
        if (!client->wait_connected(std::max(left, std::chrono::milliseconds(1))))
            warn("[http] daemons", "no daemon answers on " + endpoint +
                                       "; look at the network, and whether it has our public key");
    }
}

void Checker::check_daemon_socket(const std::string& endpoint, const std::string& path) {
    if (is_socket_in_use(path)) return;
    const bool forbidden = ::access(path.c_str(), W_OK) != 0 && errno == EACCES;
    if (forbidden)
        warn("[http] daemons", user_name(::geteuid()) + " may not open " + endpoint +
                                   "; add it to the group of the socket");
    else
        warn("[http] daemons", "no daemon answers on " + endpoint +
                                   "; requests are 503 until one does: start export-workerd");
}

void Checker::check_proxies() {
    const bool unix_listener = std::ranges::any_of(
        config_.listen, [](const std::string& where) { return where.starts_with(kUnix); });
    if (unix_listener && !config_.trusted_proxies.contains("unix"))
        warn("[http] trusted_proxies",
             "expected unix, because [http] listen has a Unix socket; without it all clients "
             "behind the proxy count as one, and no rate limits them");
    // Addresses for documentation (RFC 5737): no proxy has them.
    if (config_.trusted_proxies.contains("192.0.2.1") &&
        config_.trusted_proxies.contains("203.0.113.1"))
        warn("[http] trusted_proxies",
             "expected the addresses of proxies, found a network with every address; any client "
             "can choose its address then");
}

// Links lead to base_url; its host must be one that is served.
void Checker::check_hosts() {
    for (const downloads::DownloadRoot& root : config_.downloads) {
        const std::string base_url = value("store." + root.name, "base_url");
        const std::size_t scheme = base_url.find("://");
        if (scheme == std::string::npos) continue;
        const std::string host = base_url.substr(scheme + 3);
        if (!is_accepted_host(host, config_.hosts))
            warn("[http] hosts", "expected " + host + ", the host of [store." + root.name +
                                     "] base_url: links that lead there are answered 421 unless "
                                     "a proxy changes the Host");
    }
}

}  // namespace

options::ConfigCheck check_config(const Config& config, const options::Problems& told) {
    return Checker(config, told).run();
}

}  // namespace export_worker::http_shim
