#include "daemon/app/check_config.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <set>

#include "base/clock.hpp"
#include "base/disk_space.hpp"
#include "base/file_lock.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "base/shared_limits.hpp"
#include "base/socket_address.hpp"
#include "base/text.hpp"
#include "base/unix_socket.hpp"
#include "base/user_name.hpp"
#include "daemon/app/databases.hpp"
#include "daemon/app/first_start.hpp"
#include "daemon/app/host_config.hpp"
#include "daemon/app/limits.hpp"
#include "daemon/app/store_path.hpp"
#include "daemon/auth/jwks_source.hpp"
#include "daemon/auth/role_policy.hpp"
#include "daemon/auth/session_provider.hpp"
#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/files/local_file_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"
#include "daemon/notices/notifier.hpp"
#include "daemon/plugins/inspection/inspection.hpp"
#include "daemon/plugins/lifecycle/history.hpp"
#include "daemon/plugins/probing/golden.hpp"
#include "daemon/plugins/staging/trust.hpp"
#include "daemon/postgres/migrations.hpp"
#include "protocol/transport/curve.hpp"
#include "protocol/transport/endpoint.hpp"

namespace export_worker::app {
namespace {

namespace fs = std::filesystem;

class Checker {
public:
    Checker(const config::Config& config, const options::Problems& told)
        : config_(config), told_(told) {}
    options::ConfigCheck run() {
        check_state_dir();
        check_databases();
        check_identity();
        check_stores();
        check_plugins();
        check_addresses();
        return std::move(out_);
    }

private:
    // `where`: the section and the key.
    void complain(const std::string& where, const Error& why, const std::string& advice = "") {
        if (!is_told(where))
            out_.complaints.push_back({why.code, where + ": " + why.message + advice});
    }
    void complain(const std::string& where, const std::string& what) {
        complain(where, Error{ErrorCode::kFailedPrecondition, what});
    }
    [[nodiscard]] bool is_told(const std::string& where) const {
        return options::is_told(told_, where);
    }
    void judge(const std::string& where, const Result<void>& checked) {
        if (!checked) complain(where, checked.error());
    }
    void check_state_dir();
    void check_databases();
    void check_shared_database();
    void check_identity();
    void check_stores();
    void check_root(const std::string& where, const model::StoreSettings& store);
    void check_mounted(const std::string& where, const model::StoreSettings& store);
    void check_room(const std::string& where, const std::string& path);
    void check_start_room(const std::string& where);
    void check_curve_files();
    void check_plugins();
    void check_plugin_file(const std::string& where, const config::PluginConfig& plugin);
    void check_addresses();
    void check_directory(const std::string& where, const std::string& path);
    void check_tcp(const std::string& where, const std::string& address);
    void check_ipc(const std::string& where, const std::string& endpoint);

    const config::Config& config_;
    const options::Problems& told_;
    options::ConfigCheck out_;
    std::set<unsigned long> disks_;  // Each is looked at once.
};

// A directory that is there, or could be made.
void Checker::check_directory(const std::string& where, const std::string& path) {
    if (const auto directory = export_worker::check_directory(path, false); !directory)
        return complain(where, directory.error());
    auto writable = check_writable(path);
    if (writable) writable = check_holds_files(path);
    if (!writable)
        complain(where, writable.error(),
                 "; expected a directory that " + user_name(::geteuid()) + " may write");
}

void Checker::check_state_dir() {
    const std::string where = "[daemon] state_dir";
    check_directory(where, config_.state_dir);
    check_start_room(where);
    check_room(where, config_.state_dir);
    struct stat info {};
    if (::stat(config_.state_dir.c_str(), &info) != 0) return;
    judge(where, check_trusted_file(config_.state_dir, info.st_uid));
    // Root may open everything, which says nothing about the user of the daemon.
    if (info.st_uid != ::geteuid())
        complain(where, config_.state_dir + " belongs to " + user_name(info.st_uid) +
                            "; run this check as that user: runuser -u " + user_name(info.st_uid) +
                            " -- export-workerd --check-config ...");
}

void Checker::check_databases() {
    const std::string where = "[daemon] state_dir";
    const std::string directory = config_.state_dir + "/";
    judge(where, check_first_start(config_));
    judge(where, plugins::History::check(directory + "plugins.db"));
    if (config_.database.is_shared) return check_shared_database();
    judge(where, jobs::check_sqlite_job_store(directory + "jobs.db"));
    judge(where, catalog::check_sqlite_catalog_store(directory + "catalog.db"));
    judge(where, auth::check_sqlite_auth_store(directory + "auth.db"));
}

void Checker::check_shared_database() {
    judge("[database] conninfo", postgres::check_schema(database_options_of(config_).connect));
    if (config_.database.direct_conninfo.empty()) return;
    judge("[database] direct_conninfo", postgres::check_schema(direct_options_of(config_).connect));
}

void Checker::check_identity() {
    const model::AuthSettings& auth = config_.auth;
    if (!auth.roles_file.empty()) {
        const auto roles = auth::RolePolicy::read(auth.roles_file);
        if (!roles) complain("[auth] roles_file", roles.error());
    }
    if (!auth.jwks_file.empty()) {
        const auto keys = auth::read_keys(auth.jwks_file);
        const bool may_come =
            !auth.jwks_url.empty() && !keys && keys.error().code != ErrorCode::kFailedPrecondition;
        if (may_come)
            out_.notes.push_back("[auth] jwks_file: " + keys.error().message +
                                 "; a start waits for jwks_url to bring it");
        else if (!keys)
            complain("[auth] jwks_file", keys.error());
    }
    if (!auth.ca_file.empty()) judge("[auth] ca_file", check_trusted_file(auth.ca_file));
    if (!auth.session_url.empty()) {
        const auto provider = auth::SessionProvider::open(auth, system_clock());
        if (!provider) complain("[auth] session_secret_file", provider.error());
    }
    for (const model::WebhookSettings& webhook : config_.webhooks) {
        const auto secret = notices::read_webhook_secret(webhook);
        if (!secret) complain("[webhook." + webhook.organization_id + "]", secret.error());
    }
}

void Checker::check_stores() {
    const auto advice = check_export_path(config_);
    if (advice && !advice->empty()) out_.notes.push_back(*advice);
    for (const model::StoreSettings& store : config_.stores) {
        const std::string where = "[store." + store.name + "]";
        if (is_told(where)) continue;
        if (store.kind == "local") check_root(where + " root", store);
        const auto credentials = credentials::CredentialStore::load({store});
        if (!credentials) {
            complain(where, credentials.error());
            continue;
        }
        for (const credentials::CredentialState& state : (*credentials)->states()) {
            if (!state.usable)
                out_.notes.push_back(where + ": no credentials from '" + state.source +
                                     "' now: " + state.error + "; a start goes on without");
        }
    }
}

// The file system of a path, which need not be there yet.
Result<DiskSpace> disk_of(const std::string& path) {
    fs::path existing = path;
    std::error_code ignored;
    while (!fs::exists(existing, ignored) && existing.has_relative_path())
        existing = existing.parent_path();
    return read_disk_space(existing);
}

void Checker::check_start_room(const std::string& where) {
    std::error_code ignored;
    const char* const first = config_.database.is_shared ? "/plugins.db" : "/jobs.db";
    const bool is_first = !fs::exists(config_.state_dir + first, ignored);
    const std::uint64_t wanted =
        is_first ? limits::kFirstStartFreeBytesMin : limits::kStartFreeBytesMin;
    const auto disk = disk_of(config_.state_dir);
    if (!disk || (disk->has_inodes() && disk->free_bytes >= wanted)) return;
    disks_.insert(disk->file_system);
    const std::string found = disk->has_inodes()
                                  ? std::to_string(disk->free_bytes / 1024) + " KiB are free"
                                  : "no inode is free";
    complain(where, Error{ErrorCode::kResourceExhausted,
                          config_.state_dir + ": " + found + ", and a start needs " +
                              std::to_string(wanted / 1024) + " KiB; make room"});
}

// The daemon says the same with an alarm.
void Checker::check_room(const std::string& where, const std::string& path) {
    const auto disk = disk_of(path);
    if (!disk || !disks_.insert(disk->file_system).second) return;
    const std::string problem = disk->problem();
    if (!problem.empty())
        out_.warnings.push_back(where + ": " + path + ": " + problem + "; make room");
}

// A start goes on without the store, and exports and links wait for it.
void Checker::check_mounted(const std::string& where, const model::StoreSettings& store) {
    const std::string& root = store.values.at("root");
    if (config_.exports.workers == 0 || store.name != config_.exports.store) {
        std::error_code error;
        if (!fs::exists(root, error))
            out_.warnings.push_back(where + ": " + root +
                                    " is not there: its links are answered 503; mount it, or make "
                                    "it");
        return;
    }
    if (config_.database.is_shared) return;  // A start asks the database which registry it is.
    const auto registry = jobs::read_registry(config_.state_dir + "/jobs.db");
    if (!registry) return;  // check_databases() says why, or there is none yet.
    const std::string problem = files::root_problem(root, {registry->id, registry->published});
    if (!problem.empty()) out_.warnings.push_back(where + ": " + problem);
}

void Checker::check_root(const std::string& where, const model::StoreSettings& store) {
    const std::string& root = store.values.at("root");
    check_directory(where, root);
    check_mounted(where, store);
    check_room(where, root);
    const auto unshared = check_unshared(root);
    if (unshared || unshared.error().code == ErrorCode::kNotFound) return;
    if (config_.exports.workers > 0 && store.name == config_.exports.store)
        complain(where, unshared.error());
    else
        out_.warnings.push_back(where + ": " + unshared.error().message);
}

// By its bytes: none of its code runs. A start also tries it in a child process.
void Checker::check_plugin_file(const std::string& where, const config::PluginConfig& plugin) {
    const auto bytes = read_file(plugin.file, limits::kPluginFileBytesMax);
    if (!bytes) return complain(where + "file", bytes.error());
    const auto inspected =
        plugins::inspect(*bytes, config_.reload.allow_needed, allowed_imports_of(config_));
    if (!inspected) return complain(where + "file", plugins::to_text(inspected.error()));
    const std::string& name = inspected->manifest.name;
    if (name != plugin.name)
        complain(where + "file", "expected the plugin " + plugin.name +
                                     ", found one that calls itself " + name +
                                     "; correct the section name or the file");
}

void Checker::check_plugins() {
    for (const config::PluginConfig& plugin : config_.plugins) {
        const std::string where = "[plugin." + plugin.name + "] ";
        if (const auto file = plugins::open_trusted(plugin.file); !file)
            complain(where + "file", plugins::to_text(file.error()));
        else
            check_plugin_file(where, plugin);
        const auto golden = plugins::read_golden_file(plugin.golden_file, plugin.file, "");
        if (!golden) complain(where + "golden_file", plugins::to_text(golden.error()));
    }
}

void Checker::check_tcp(const std::string& where, const std::string& address) {
    judge(where, try_bind(address));
}

void Checker::check_ipc(const std::string& where, const std::string& endpoint) {
    const auto path = transport::ipc_path(endpoint);
    if (!path) return;
    check_directory(where, fs::path(*path).parent_path());
    judge(where, check_socket_path(*path));
}

// Without tcp_endpoint, too: somebody has named them to use them.
void Checker::check_curve_files() {
    if (!config_.curve_key_file.empty()) {
        const auto keys = transport::read_curve_keys(config_.curve_key_file);
        if (!keys) complain("[daemon] curve_key_file", keys.error());
    }
    if (!config_.curve_clients_file.empty()) {
        const auto clients = transport::read_curve_clients(config_.curve_clients_file);
        if (!clients) complain("[daemon] curve_clients_file", clients.error());
    }
}

void Checker::check_addresses() {
    check_curve_files();
    if (is_told("[daemon] state_dir")) return;  // Where they are by default.
    if (FileLock::is_held(config_.state_dir + "/lock")) {
        out_.notes.emplace_back("a daemon runs with this state_dir: addresses were not tried");
        return;
    }
    check_ipc("[daemon] data_endpoint", config_.data_endpoint);
    check_ipc("[daemon] control_endpoint", config_.control_endpoint);
    if (!config_.notice_endpoint.empty() && !transport::is_tcp(config_.notice_endpoint))
        check_ipc("[daemon] notice_endpoint", config_.notice_endpoint);
    constexpr std::string_view kTcp = "tcp://";
    if (transport::is_tcp(config_.tcp_endpoint))
        check_tcp("[daemon] tcp_endpoint", config_.tcp_endpoint.substr(kTcp.size()));
    if (!config_.metrics_listen.empty())
        check_tcp("[daemon] metrics_listen", config_.metrics_listen);
}

}  // namespace

options::ConfigCheck check_config(const config::Config& config, const options::Problems& told) {
    return Checker(config, told).run();
}

}  // namespace export_worker::app
