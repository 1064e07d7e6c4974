#include "daemon/config/config.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <sstream>

#include "base/address_list.hpp"
#include "base/options/config_file.hpp"
#include "base/options/config_keys.hpp"
#include "base/text.hpp"
#include "daemon/config/limits.hpp"
#include "daemon/model/limits.hpp"
#include "protocol/transport/endpoint.hpp"
#include "signing/limits.hpp"
#include "signing/local_link.hpp"
#include "signing/store.hpp"

namespace export_worker::config {
namespace {

using options::ConfigFile;
using options::Section;

template <typename Duration>
void duration(Section& section, const char* key, Duration& target, std::uint64_t min,
              std::uint64_t max) {
    auto number = static_cast<std::uint64_t>(target.count());
    section.number(key, number, min, max);
    target = Duration(number);
}

void absolute_path(Section& section, std::string_view key, std::string& target) {
    section.required_text(key, target);
    if (!target.empty() && !target.starts_with('/')) {
        section.add_error(key, "expected an absolute path, found '" + printable(target) + "'");
    }
}

void optional_absolute_path(Section& section, std::string_view key, std::string& target) {
    section.text(key, target);
    if (!target.empty() && !target.starts_with('/'))
        section.add_error(key, "expected an absolute path, found '" + printable(target) + "'");
}

void ipc_endpoint(Section& section, std::string_view key, std::string& target) {
    section.text(key, target);
    if (target.empty()) return;
    if (const auto path = transport::ipc_path(target); !path)
        section.add_error(key, path.error().message);
}

void tcp_endpoint(Section& section, std::string& target) {
    section.text("tcp_endpoint", target);
    if (target.empty()) return;
    if (const auto port = transport::tcp_port(target); !port)
        section.add_error("tcp_endpoint", port.error().message);
}

void metrics_address(Section& section, std::string& target) {
    section.text("metrics_listen", target);
    if (!target.empty() && !is_address_and_port(target))
        section.add_error(
            "metrics_listen",
            "expected ADDRESS:PORT with an IP address, such as 127.0.0.1:9464, found '" +
                printable(target) + "'");
}

// Each of them listens on a path or port of its own.
void check_distinct(Section& section, const Config& config) {
    const std::string metrics =
        config.metrics_listen.empty() ? "" : "tcp://" + config.metrics_listen;
    const std::array<std::pair<const char*, const std::string*>, 5> endpoints{
        {{"data_endpoint", &config.data_endpoint},
         {"control_endpoint", &config.control_endpoint},
         {"notice_endpoint", &config.notice_endpoint},
         {"tcp_endpoint", &config.tcp_endpoint},
         {"metrics_listen", &metrics}}};
    for (std::size_t at = 1; at < endpoints.size(); ++at) {
        const auto& [key, endpoint] = endpoints[at];
        if (endpoint->empty()) continue;
        for (std::size_t before = 0; before < at; ++before) {
            if (*endpoints[before].second == *endpoint)
                section.add_error(key, std::string("expected another one than ") +
                                           endpoints[before].first + ", found '" +
                                           printable(*endpoint) + "' for both");
        }
    }
}

// What gethostname() says; "daemon" where that is no name.
std::string host_name() {
    std::array<char, limits::kInstanceNameBytesMax + 1> name{};
    if (::gethostname(name.data(), name.size() - 1) != 0 || !is_organization_id(name.data()))
        return "daemon";
    return name.data();
}

void instance_name(Section& section, std::string& target) {
    target = host_name();
    section.text("instance_name", target);
    if (!is_organization_id(target))
        section.add_error("instance_name", "expected 1 to 64 of A-Z a-z 0-9 . _ -, found '" +
                                               printable(target) + "'");
}

// What libpq's format is, libpq says when the daemon connects, or --check-config does.
Result<void> read_database(const ConfigFile& file, DatabaseConfig& database) {
    Section section = file.section("database");
    std::string kind = "sqlite";
    constexpr std::array<std::string_view, 2> kKinds{"sqlite", "postgres"};
    section.choice("kind", kind, kKinds);
    database.is_shared = kind == "postgres";
    if (!database.is_shared) {
        for (const auto& key : section.take_rest())
            section.add_error(key.first, "expected kind = postgres with it, found kind = sqlite");
        return section.finish();
    }
    section.required_text("conninfo", database.conninfo);
    section.text("direct_conninfo", database.direct_conninfo);
    optional_absolute_path(section, "password_file", database.password_file);
    section.text("schema", database.schema);
    section.number("connections", database.connections, limits::kDatabaseConnectionsMin,
                   limits::kDatabaseConnectionsMax);
    std::string pooler = "off";
    constexpr std::array<std::string_view, 2> kPoolers{"off", "transaction"};
    section.choice("pooler", pooler, kPoolers);
    database.is_pooled = pooler == "transaction";
    duration(section, "lease_s", database.lease, limits::kDatabaseLeaseMin.count(),
             limits::kDatabaseLeaseMax.count());
    section.boolean("require_synchronous", database.require_synchronous);
    section.number("lookup_cache", database.lookup_cache, 0, limits::kLookupCacheMax);
    return section.finish();
}

Result<void> read_daemon(const ConfigFile& file, Config& config) {
    Section section = file.section("daemon");
    section.directory("state_dir", config.state_dir);
    config.data_endpoint = "ipc://" + config.state_dir + "/run/data.sock";
    config.control_endpoint = "ipc://" + config.state_dir + "/run/control.sock";
    ipc_endpoint(section, "data_endpoint", config.data_endpoint);
    ipc_endpoint(section, "control_endpoint", config.control_endpoint);
    section.socket_mode("data_socket_mode", config.data_socket_mode, true);
    // Who opens it may do everything.
    section.socket_mode("control_socket_mode", config.control_socket_mode, false);
    tcp_endpoint(section, config.tcp_endpoint);
    optional_absolute_path(section, "curve_key_file", config.curve_key_file);
    optional_absolute_path(section, "curve_clients_file", config.curve_clients_file);
    section.number("tcp_connections", config.tcp_connections_max, 1, limits::kTcpConnectionsMax);
    if (!config.tcp_endpoint.empty() &&
        (config.curve_key_file.empty() || config.curve_clients_file.empty()))
        section.add_error(
            "tcp_endpoint",
            "expected curve_key_file and curve_clients_file with it: over TCP only those "
            "who hold a key may connect");
    ipc_endpoint(section, "notice_endpoint", config.notice_endpoint);
    section.socket_mode("notice_socket_mode", config.notice_socket_mode, true);
    constexpr std::array<std::string_view, 5> kLevels{"trace", "debug", "info", "warn", "error"};
    section.choice("log_level", config.log_level, kLevels);
    constexpr std::array<std::string_view, 3> kFormats{"text", "json", "journald"};
    section.choice("log_format", config.log_format, kFormats);
    metrics_address(section, config.metrics_listen);
    check_distinct(section, config);
    if (config.database.is_shared) config.server_workers = limits::kServerWorkersSharedDefault;
    section.number("workers", config.server_workers, 1, limits::kServerWorkersMax);
    instance_name(section, config.instance_name);
    return section.finish();
}

void keep_text(Section& section, std::map<std::string, std::string>& target, const char* key,
               bool required) {
    std::string value;
    if (required) {
        section.required_text(key, value);
    } else {
        section.text(key, value);
    }
    if (!value.empty()) target[key] = value;
}

// Reads a key and keeps it where the plugin can see it.
void shared_text(Section& section, model::StoreSettings& store, const char* key,
                 bool required = false) {
    keep_text(section, store.values, key, required);
}

// The same for a key of the credentials, which no plugin sees.
void credential_text(Section& section, model::StoreSettings& store, const char* key,
                     bool required = false) {
    keep_text(section, store.credentials, key, required);
}

void credential_file(Section& section, model::StoreSettings& store, const char* key,
                     bool required = false) {
    credential_text(section, store, key, required);
    const auto found = store.credentials.find(key);
    if (found != store.credentials.end() && !found->second.starts_with('/'))
        section.add_error(key,
                          "expected an absolute path, found '" + printable(found->second) + "'");
}

template <std::size_t count>
void credential_choice(Section& section, model::StoreSettings& store,
                       const std::array<std::string_view, count>& sources) {
    store.credentials_source = sources.front();
    section.choice("credentials", store.credentials_source, sources);
}

bool lies_in(std::string_view path, const std::string& directory) {
    return path == directory || path.starts_with(directory + "/");
}

// A start empties directories of state_dir, whatever lies in them.
bool is_for_the_daemon_alone(const std::string& path, const std::string& state_dir) {
    constexpr std::array<const char*, 6> kOwn{"/run",     "/tmp",    "/plugins",
                                              "/restore", "/backup", "/restore.part"};
    return lies_in(state_dir, path) || std::ranges::any_of(kOwn, [&](const char* own) {
               return lies_in(path, state_dir + own);
           });
}

void read_local_store(Section& section, const std::string& state_dir, model::StoreSettings& store) {
    std::string root;
    section.directory("root", root);
    if (!root.empty() && is_for_the_daemon_alone(root, state_dir))
        section.add_error(
            "root", "expected a directory for exports alone, found '" + printable(root) +
                        "', where the daemon keeps its own files (state_dir = " + state_dir + ")");
    store.values["root"] = root;
    section.boolean("shared_root", store.is_shared_root);
    shared_text(section, store, "base_url", true);
    const std::string& base_url = store.values["base_url"];
    if (!base_url.empty() && !signing::is_local_base_url(base_url))
        section.add_error(
            "base_url", "expected http://HOST or https://HOST without a slash at the end, found '" +
                            printable(base_url) + "'");
    store.credentials_source = "key_file";
    credential_file(section, store, "key_file", true);
}

void read_s3_store(Section& section, model::StoreSettings& store) {
    for (const char* key : {"prefix", "region"}) shared_text(section, store, key, true);
    for (const char* key : {"endpoint", "public_endpoint", "addressing"})
        shared_text(section, store, key);
    constexpr std::array<std::string_view, 7> kSources{
        "static", "environment", "profile", "web_identity", "container", "instance", "default"};
    credential_choice(section, store, kSources);
    const std::string& source = store.credentials_source;
    if (source == "static") {
        credential_text(section, store, "access_key_id", true);
        credential_file(section, store, "secret_access_key_file", true);
        credential_file(section, store, "session_token_file");
    }
    if (source == "profile" || source == "default") {
        credential_text(section, store, "profile");
        credential_file(section, store, "credentials_file");
    }
    if (source == "web_identity" || source == "default") {
        for (const char* key : {"role_arn", "role_session_name", "sts_endpoint"})
            credential_text(section, store, key);
        credential_file(section, store, "web_identity_token_file");
    }
    if (source == "instance" || source == "default")
        credential_text(section, store, "metadata_endpoint");
}

void read_gcs_store(Section& section, model::StoreSettings& store) {
    shared_text(section, store, "prefix", true);
    for (const char* key : {"style", "endpoint", "public_endpoint", "universe_domain"})
        shared_text(section, store, key);
    constexpr std::array<std::string_view, 2> kSources{"service_account", "hmac"};
    credential_choice(section, store, kSources);
    if (store.credentials_source == "hmac") {
        credential_text(section, store, "access_key_id", true);
        credential_file(section, store, "secret_access_key_file", true);
    } else {
        credential_file(section, store, "service_account_file");
    }
}

void read_azure_store(Section& section, model::StoreSettings& store) {
    for (const char* key : {"prefix", "account"}) shared_text(section, store, key, true);
    for (const char* key : {"endpoint", "public_endpoint", "sas_version"})
        shared_text(section, store, key);
    constexpr std::array<std::string_view, 2> kSources{"account_key", "connection_string"};
    credential_choice(section, store, kSources);
    if (store.credentials_source == "account_key") {
        credential_file(section, store, "account_key_file", true);
    } else {
        credential_file(section, store, "connection_string_file");
    }
}

void read_cloudfront_store(Section& section, model::StoreSettings& store) {
    shared_text(section, store, "base_url", true);
    for (const char* key : {"prefix", "hash"}) shared_text(section, store, key);
    bool forward = false;
    section.boolean("forward_disposition", forward);
    store.values["forward_disposition"] = forward ? "on" : "off";
    store.credentials_source = "private_key";
    credential_text(section, store, "key_pair_id", true);
    credential_file(section, store, "private_key_file", true);
}

void read_kind(Section& section, const std::string& state_dir, model::StoreSettings& store) {
    if (store.kind == "local") return read_local_store(section, state_dir, store);
    if (store.kind == "s3") read_s3_store(section, store);
    if (store.kind == "gcs") read_gcs_store(section, store);
    if (store.kind == "azure") read_azure_store(section, store);
    if (store.kind == "cloudfront") return read_cloudfront_store(section, store);
    constexpr std::uint64_t kMebibyte = 1024 * 1024;
    std::uint64_t part_mib = limits::kUploadPartBytesDefault / kMebibyte;
    section.number("part_mib", part_mib, limits::kUploadPartBytesMin / kMebibyte,
                   limits::kUploadPartBytesMax / kMebibyte);
    store.part_bytes = part_mib * kMebibyte;
}

Result<void> read_stores(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("store")) {
        const std::size_t problems = file.problem_count();
        model::StoreSettings store;
        store.name = section.name().substr(std::string_view("store.").size());
        store.kind = options::read_store_kind(section);
        if (store.kind.empty()) {
            EW_CHECK(section.finish());
            config.stores.push_back(std::move(store));  // For [export], which may name it.
            continue;
        }
        store.values["kind"] = store.kind;
        std::uint64_t lifetime_s = limits::kLinkLifetimeSecondsDefault;
        section.number("link_lifetime_s", lifetime_s, 1, limits::kLinkLifetimeSecondsMax);
        store.values["link_lifetime_s"] = std::to_string(lifetime_s);
        for (const char* key : {"link_window_s", "link_backdate_s", "expiry_policy"})
            shared_text(section, store, key);
        bool organization_prefix = true;
        section.boolean("organization_prefix", organization_prefix);
        store.values["organization_prefix"] = organization_prefix ? "on" : "off";
        read_kind(section, config.state_dir, store);
        EW_CHECK(section.finish());
        // What the keys mean together is known where links are signed.
        const auto parsed = signing::parse_store(store.name, store.values);
        if (!parsed && file.problem_count() == problems)
            EW_CHECK(
                file.report({ErrorCode::kInvalidArgument, file.path() + ": [" + section.name() +
                                                              "] " + parsed.error().message}));
        config.stores.push_back(std::move(store));
    }
    if (config.stores.size() <= limits::kStoresMax) return {};
    return file.report({ErrorCode::kInvalidArgument, file.path() + ": expected at most " +
                                                         std::to_string(limits::kStoresMax) +
                                                         " [store.NAME] sections, found " +
                                                         std::to_string(config.stores.size())});
}

// Who says whose a session is must be who it is: over TLS, or on this machine.
void secure_url(Section& section, std::string_view key, std::string& target) {
    section.text(key, target);
    const bool local = target.starts_with("http://127.0.0.1:") ||
                       target.starts_with("http://localhost:") ||
                       target.starts_with("http://[::1]:");
    if (!target.empty() && !target.starts_with("https://") && !local)
        section.add_error(key, "expected an https URL, found '" + printable(target) + "'");
}

Result<void> read_auth(const ConfigFile& file, model::AuthSettings& auth) {
    Section section = file.section("auth");
    optional_absolute_path(section, "roles_file", auth.roles_file);
    optional_absolute_path(section, "jwks_file", auth.jwks_file);
    secure_url(section, "jwks_url", auth.jwks_url);
    optional_absolute_path(section, "ca_file", auth.ca_file);
    duration(section, "jwks_refresh_s", auth.jwks_refresh, 10, 86'400);
    section.text("issuer", auth.issuer);
    section.text("audience", auth.audience);
    duration(section, "clock_tolerance_s", auth.clock_tolerance, 0,
             static_cast<std::uint64_t>(limits::kClockToleranceMax.count()));
    secure_url(section, "session_url", auth.session_url);
    section.text("session_user", auth.session_user);
    optional_absolute_path(section, "session_secret_file", auth.session_secret_file);
    duration(section, "session_cache_s", auth.session_cache, 1, 3'600);
    if (auth.takes_jwt() && auth.issuer.empty())
        section.add_error("issuer", "required when jwks_file or jwks_url is set");
    if (auth.takes_jwt() && auth.audience.empty())
        section.add_error("audience", "required when jwks_file or jwks_url is set");
    if (!auth.session_url.empty() && auth.session_user.empty())
        section.add_error("session_user", "required with session_url (HTTP Basic user name)");
    if (!auth.session_url.empty() && auth.session_secret_file.empty())
        section.add_error("session_secret_file", "required with session_url (HTTP Basic password)");
    if ((auth.takes_jwt() || !auth.session_url.empty()) && auth.roles_file.empty())
        section.add_error("roles_file", "required with jwks_file, jwks_url or session_url");
    return section.finish();
}

void read_export_store(Section& section, Config& config) {
    ExportConfig& out = config.exports;
    section.text("store", out.store);
    const auto usable = [&](const model::StoreSettings& store) {
        return out.store.empty() ? store.kind == "local" : store.name == out.store;
    };
    const auto found = std::ranges::find_if(config.stores, usable);
    // One of an unknown kind, which is told, may be the one that was meant.
    const bool may_be_there =
        out.store.empty() &&
        std::ranges::any_of(config.stores, [](const auto& store) { return store.kind.empty(); });
    if (found != config.stores.end() && found->kind != "cloudfront") {
        out.store = found->name;
        if (config.database.is_shared && out.workers > 0 && found->kind == "local" &&
            !found->is_shared_root)
            section.add_error("store",
                              "with [database] kind = postgres every daemon must find the "
                              "files of every other; expected a store of kind s3, gcs or "
                              "azure, or shared_root = on in [store." +
                                  found->name + "], found a directory of this machine");
    } else if (out.workers > 0 && !may_be_there) {
        section.add_error("store",
                          out.store.empty()
                              ? "exports need a place to go: name a [store.NAME], add one with "
                                "kind = local, or set workers = 0"
                              : "expected the name of a [store.NAME] with kind = local, s3, gcs or "
                                "azure, found '" +
                                    printable(out.store) + "'");
    }
}

Result<void> read_export(const ConfigFile& file, Config& config) {
    constexpr auto kSecondsMax = static_cast<std::uint64_t>(limits::kJobTimesMax.count());
    Section section = file.section("export");
    ExportConfig& out = config.exports;
    section.number("workers", out.workers, 0, limits::kExportWorkersMax);
    read_export_store(section, config);
    duration(section, "orphan_grace_s", out.orphan_grace, 1, kSecondsMax);
    duration(section, "sweep_interval_s", out.sweep_interval, 1, kSecondsMax);
    duration(section, "retry_base_ms", out.retry_base, 1, 3'600'000);
    duration(section, "retry_max_s", out.retry_max, 1, 86'400);
    duration(section, "attempt_limit_s", out.attempt_limit, 1, kSecondsMax);
    duration(section, "stall_limit_s", out.stall_limit, 1, kSecondsMax);
    duration(section, "deadline_s", out.deadline, 0, kSecondsMax);
    duration(section, "file_retention_s", out.file_retention, 0, kSecondsMax);
    duration(section, "job_retention_s", out.job_retention, 0, kSecondsMax);
    unsigned attempts = static_cast<unsigned>(out.attempts);
    section.number("attempts", attempts, 1, limits::kJobAttemptsMax);
    out.attempts = static_cast<int>(attempts);
    unsigned running_max = static_cast<unsigned>(out.organization_running_max);
    section.number("organization_running_max", running_max, 1, limits::kOrganizationRunningMax);
    out.organization_running_max = static_cast<int>(running_max);
    return section.finish();
}

Result<void> read_webhooks(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("webhook")) {
        model::WebhookSettings webhook;
        webhook.organization_id = section.name().substr(std::string_view("webhook.").size());
        if (!is_organization_id(webhook.organization_id))
            section.add_error("url", "expected [webhook.ORGANIZATION], found '" +
                                         printable(section.name()) + "'");
        section.required_text("url", webhook.url);
        if (!webhook.url.empty() && !webhook.url.starts_with("https://") &&
            !webhook.url.starts_with("http://"))
            section.add_error(
                "url", "expected an http or https URL, found '" + printable(webhook.url) + "'");
        absolute_path(section, "secret_file", webhook.secret_file);
        section.boolean("allow_private", webhook.allow_private);
        EW_CHECK(section.finish());
        config.webhooks.push_back(std::move(webhook));
    }
    return {};
}

// Separated by blanks.
void word_list(Section& section, std::string_view key, std::vector<std::string>& target) {
    std::string text;
    section.text(key, text);
    std::istringstream words(text);
    for (std::string word; words >> word;) target.push_back(word);
}

Result<void> read_plugins(const ConfigFile& file, Config& config) {
    for (Section& section : file.sections("plugin")) {
        PluginConfig plugin;
        plugin.name = section.name().substr(std::string_view("plugin.").size());
        absolute_path(section, "file", plugin.file);
        section.text("golden_file", plugin.golden_file);
        if (!plugin.golden_file.empty() && !plugin.golden_file.starts_with('/')) {
            section.add_error("golden_file", "expected an absolute path, found '" +
                                                 printable(plugin.golden_file) + "'");
        }
        word_list(section, "allow_imports", plugin.allow_imports);
        plugin.values = section.take_rest();
        EW_CHECK(section.finish());
        config.plugins.push_back(std::move(plugin));
    }
    return {};
}

Result<void> read_reload(const ConfigFile& file, ReloadConfig& reload) {
    Section section = file.section("plugins");
    section.number("bake_s", reload.bake_s, 0, 86'400);
    section.number("bake_failure_percent", reload.bake_failure_percent, 0, 100);
    section.number("bake_latency_factor", reload.bake_latency_factor, 1, 1000);
    section.number("bake_stall_ms", reload.bake_stall_ms, 10, 60'000);
    section.number("bake_requests_min", reload.bake_requests_min, 0, 1'000'000);
    section.number("bake_shadow", reload.bake_shadow, 0, 10'000);
    section.number("drain_s", reload.drain_s, 1, 3'600);
    section.number("probe_timeout_s", reload.probe_timeout_s, 1, 300);
    section.number("generations_max", reload.generations_max, 2, limits::kPluginGenerationsMax);
    constexpr std::array<std::string_view, 2> kRetire{"park", "unmap"};
    std::string retire = "park";
    section.choice("retire", retire, kRetire);
    reload.unmap = retire == "unmap";
    section.boolean("watch", reload.watch);
    word_list(section, "allow_needed", reload.allow_needed);
    return section.finish();
}

}  // namespace

Result<Config> read_config(const std::string& path, options::Problems* problems) {
    EW_TRY(const ConfigFile file, ConfigFile::read(path, problems));
    EW_CHECK(options::check_known_keys(file));
    Config config;
    config.values = file.values();
    EW_CHECK(read_database(file, config.database));
    EW_CHECK(read_daemon(file, config));
    EW_CHECK(read_auth(file, config.auth));
    EW_CHECK(read_stores(file, config));
    EW_CHECK(read_export(file, config));
    EW_CHECK(read_webhooks(file, config));
    EW_CHECK(read_plugins(file, config));
    EW_CHECK(read_reload(file, config.reload));
    return config;
}

}  // namespace export_worker::config
