#include "base/options/config_keys.hpp"

#include <algorithm>
#include <array>
#include <set>

#include "base/text.hpp"

namespace export_worker::options {
namespace {

using enum Change;

constexpr std::array kKeys = std::to_array<ConfigKey>({
    {"daemon", "state_dir", kRestart, kRestart},
    {"daemon", "data_endpoint", kRestart, kRestart},
    {"daemon", "data_socket_mode", kRestart, kUnused},
    {"daemon", "control_endpoint", kRestart, kUnused},
    {"daemon", "control_socket_mode", kRestart, kUnused},
    {"daemon", "notice_endpoint", kRestart, kUnused},
    {"daemon", "notice_socket_mode", kRestart, kUnused},
    {"daemon", "tcp_endpoint", kRestart, kUnused},
    {"daemon", "curve_key_file", kRestart, kUnused},
    {"daemon", "curve_clients_file", kRestart, kUnused},
    {"daemon", "tcp_connections", kRestart, kUnused},
    {"daemon", "workers", kRestart, kUnused},
    {"daemon", "log_level", kLive, kUnused},
    {"daemon", "log_format", kRestart, kUnused},
    {"daemon", "metrics_listen", kRestart, kUnused},
    {"daemon", "instance_name", kRestart, kUnused},

    {"database", "kind", kRestart, kUnused},
    {"database", "conninfo", kRestart, kUnused},
    {"database", "password_file", kRestart, kUnused},
    {"database", "schema", kRestart, kUnused},
    {"database", "connections", kRestart, kUnused},
    {"database", "pooler", kRestart, kUnused},
    {"database", "direct_conninfo", kRestart, kUnused},
    {"database", "lease_s", kRestart, kUnused},
    {"database", "require_synchronous", kRestart, kUnused},
    {"database", "lookup_cache", kRestart, kUnused},

    {"export", "workers", kRestart, kUnused},
    {"export", "store", kRestart, kUnused},
    {"export", "sweep_interval_s", kRestart, kUnused},
    {"export", "orphan_grace_s", kRestart, kUnused},
    {"export", "organization_running_max", kRestart, kUnused},
    {"export", "attempts", kRestart, kUnused},
    {"export", "retry_base_ms", kRestart, kUnused},
    {"export", "retry_max_s", kRestart, kUnused},
    {"export", "attempt_limit_s", kRestart, kUnused},
    {"export", "stall_limit_s", kRestart, kUnused},
    {"export", "deadline_s", kRestart, kUnused},
    {"export", "file_retention_s", kRestart, kUnused},
    {"export", "job_retention_s", kRestart, kUnused},

    {"http", "listen", kUnused, kRestart},
    {"http", "socket_mode", kUnused, kRestart},
    {"http", "hosts", kUnused, kLive},
    {"http", "daemons", kUnused, kRestart},
    {"http", "curve_key_file", kUnused, kRestart},
    {"http", "curve_server_key_file", kUnused, kRestart},
    {"http", "request_timeout_ms", kUnused, kLive},
    {"http", "trusted_proxies", kUnused, kLive},
    {"http", "cors_origins", kUnused, kLive},
    {"http", "address_rate", kUnused, kLive},
    {"http", "address_burst", kUnused, kLive},
    {"http", "credential_rate", kUnused, kLive},
    {"http", "credential_burst", kUnused, kLive},
    {"http", "address_connections", kUnused, kLive},
    {"http", "metrics_from", kUnused, kLive},
    {"http", "docs", kUnused, kLive},
    {"http", "log_level", kUnused, kLive},
    {"http", "log_format", kUnused, kRestart},
    {"http", "access_log_sample", kUnused, kLive},

    {"store", "kind", kLiveButExports, kLiveButExports},
    {"store", "link_lifetime_s", kLive, kUnused},
    {"store", "link_window_s", kLive, kUnused},
    {"store", "link_backdate_s", kLive, kUnused},
    {"store", "expiry_policy", kLive, kUnused},
    {"store", "organization_prefix", kLive, kUnused},
    {"store", "root", kLiveButExports, kLiveButExports, "local"},
    {"store", "key_file", kLive, kLive, "local"},
    {"store", "shared_root", kRestart, kUnused, "local"},
    {"store", "base_url", kLive, kUnused, "local cloudfront"},
    {"store", "prefix", kLiveButExports, kUnused, "s3 gcs azure cloudfront"},
    {"store", "region", kLiveButExports, kUnused, "s3"},
    {"store", "endpoint", kLiveButExports, kUnused, "s3 gcs azure"},
    {"store", "public_endpoint", kLiveButExports, kUnused, "s3 gcs azure"},
    {"store", "addressing", kLiveButExports, kUnused, "s3"},
    {"store", "style", kLiveButExports, kUnused, "gcs"},
    {"store", "universe_domain", kLiveButExports, kUnused, "gcs"},
    {"store", "account", kLiveButExports, kUnused, "azure"},
    {"store", "sas_version", kLiveButExports, kUnused, "azure"},
    {"store", "part_mib", kLiveButExports, kUnused, "s3 gcs azure"},
    {"store", "credentials", kLive, kUnused, "s3 gcs azure"},
    {"store", "access_key_id", kLive, kUnused, "s3 gcs"},
    {"store", "secret_access_key_file", kLive, kUnused, "s3 gcs"},
    {"store", "session_token_file", kLive, kUnused, "s3"},
    {"store", "profile", kLive, kUnused, "s3"},
    {"store", "credentials_file", kLive, kUnused, "s3"},
    {"store", "role_arn", kLive, kUnused, "s3"},
    {"store", "role_session_name", kLive, kUnused, "s3"},
    {"store", "sts_endpoint", kLive, kUnused, "s3"},
    {"store", "web_identity_token_file", kLive, kUnused, "s3"},
    {"store", "metadata_endpoint", kLive, kUnused, "s3"},
    {"store", "service_account_file", kLive, kUnused, "gcs"},
    {"store", "account_key_file", kLive, kUnused, "azure"},
    {"store", "connection_string_file", kLive, kUnused, "azure"},
    {"store", "key_pair_id", kLive, kUnused, "cloudfront"},
    {"store", "private_key_file", kLive, kUnused, "cloudfront"},
    {"store", "hash", kLive, kUnused, "cloudfront"},
    {"store", "forward_disposition", kLive, kUnused, "cloudfront"},

    {"webhook", "url", kRestart, kUnused},
    {"webhook", "secret_file", kRestart, kUnused},
    {"webhook", "allow_private", kRestart, kUnused},

    {"auth", "roles_file", kLive, kUnused},
    {"auth", "jwks_file", kRestart, kUnused},
    {"auth", "jwks_url", kRestart, kUnused},
    {"auth", "jwks_refresh_s", kRestart, kUnused},
    {"auth", "issuer", kRestart, kUnused},
    {"auth", "audience", kRestart, kUnused},
    {"auth", "clock_tolerance_s", kRestart, kUnused},
    {"auth", "session_url", kRestart, kUnused},
    {"auth", "session_user", kRestart, kUnused},
    {"auth", "session_secret_file", kRestart, kUnused},
    {"auth", "session_cache_s", kRestart, kUnused},
    {"auth", "ca_file", kRestart, kUnused},

    {"plugin", "file", kLive, kUnused},
    {"plugin", "golden_file", kLive, kUnused},
    {"plugin", "allow_imports", kLive, kUnused},
    {"plugin", "*", kLive, kUnused},

    {"plugins", "bake_s", kLive, kUnused},
    {"plugins", "bake_failure_percent", kLive, kUnused},
    {"plugins", "bake_latency_factor", kLive, kUnused},
    {"plugins", "bake_stall_ms", kLive, kUnused},
    {"plugins", "bake_requests_min", kLive, kUnused},
    {"plugins", "bake_shadow", kLive, kUnused},
    {"plugins", "drain_s", kLive, kUnused},
    {"plugins", "probe_timeout_s", kLive, kUnused},
    {"plugins", "generations_max", kLive, kUnused},
    {"plugins", "retire", kLive, kUnused},
    {"plugins", "watch", kLive, kUnused},
    {"plugins", "allow_needed", kLive, kUnused},
});

constexpr std::array<std::string_view, 5> kStoreKinds{"local", "s3", "gcs", "azure", "cloudfront"};

using Keys = std::map<std::string, std::string>;

std::string_view family_of(std::string_view section) {
    return section.substr(0, section.find('.'));
}

bool is_word_of(std::string_view word, std::string_view list) {
    while (!list.empty()) {
        const std::size_t end = std::min(list.find(' '), list.size());
        if (list.substr(0, end) == word) return true;
        list.remove_prefix(std::min(end + 1, list.size()));
    }
    return false;
}

// An unknown kind is told by read_store_kind(), with those it may be.
bool has_kind(const ConfigKey& key, const Keys& section) {
    const auto kind = section.find("kind");
    return key.kinds.empty() || kind == section.end() ||
           std::ranges::find(kStoreKinds, kind->second) == kStoreKinds.end() ||
           is_word_of(kind->second, key.kinds);
}

// The names that a section may have.
std::vector<std::string_view> names_of(std::string_view section, const Keys& values) {
    std::vector<std::string_view> out;
    for (const ConfigKey& key : kKeys) {
        if (key.section == family_of(section) && has_kind(key, values)) out.push_back(key.name);
    }
    return out;
}

Result<void> check_section(const ConfigFile& file, const std::string& section, const Keys& values) {
    const auto names = names_of(section, values);
    for (const auto& value : values) {
        const std::string& key = value.first;
        if (std::ranges::find(names, key) != names.end() ||
            std::ranges::find(names, "*") != names.end())
            continue;
        std::string what = file.path() + ": [" + section + "] unknown key '" + printable(key) + "'";
        if (const auto near = closest(key, names.data(), names.size()))
            what += "; did you mean '" + std::string(*near) + "'?";
        EW_CHECK(file.report({ErrorCode::kInvalidArgument, std::move(what)}));
    }
    return {};
}

const ConfigKey* find_key(std::string_view section, std::string_view name) {
    const ConfigKey* any = nullptr;
    for (const ConfigKey& key : kKeys) {
        if (key.section != family_of(section)) continue;
        if (key.name == name) return &key;
        if (key.name == "*") any = &key;
    }
    return any;
}

std::string value_of(const ConfigValues& values, const std::string& section,
                     const std::string& key) {
    const auto found = values.find(section);
    if (found == values.end()) return {};
    const auto value = found->second.find(key);
    return value == found->second.end() ? std::string() : value->second;
}

// Where the shim asks [daemon] for its daemons only in place of [http] daemons.
bool is_overridden(Program program, std::string_view section, const ConfigValues& values) {
    return program == Program::kShim && section == "daemon" &&
           !value_of(values, "http", "daemons").empty();
}

}  // namespace

std::span<const ConfigKey> config_keys() {
    return kKeys;
}

std::string read_store_kind(Section& section) {
    std::string kind;
    section.choice("kind", kind, kStoreKinds);
    if (!section.has("kind"))
        section.add_error("kind", "missing; expected local, s3, gcs, azure or cloudfront");
    if (kind.empty()) (void)section.take_rest();
    return kind;
}

Result<void> check_known_keys(const ConfigFile& file) {
    constexpr std::array<std::string_view, 6> kPlain{"auth",   "daemon", "database",
                                                     "export", "http",   "plugins"};
    constexpr std::array<std::string_view, 3> kFamilies{"plugin", "store", "webhook"};
    EW_CHECK(file.check_sections(kPlain, kFamilies));
    for (const auto& [section, values] : file.values())
        EW_CHECK(check_section(file, section, values));
    return {};
}

std::string export_store_of(const ConfigValues& values) {
    if (value_of(values, "export", "workers") == "0") return {};
    if (std::string named = value_of(values, "export", "store"); !named.empty()) return named;
    constexpr std::string_view kFamily = "store.";
    for (const auto& entry : values) {
        if (entry.first.starts_with(kFamily) && value_of(values, entry.first, "kind") == "local")
            return entry.first.substr(kFamily.size());
    }
    return {};
}

bool has_moved(const ConfigValues& running, const ConfigValues& read, std::string_view store) {
    const std::string section = "store." + std::string(store);
    return std::ranges::any_of(kKeys, [&](const ConfigKey& key) {
        const std::string name(key.name);
        return key.section == "store" && key.daemon == kLiveButExports &&
               value_of(running, section, name) != value_of(read, section, name);
    });
}

std::vector<std::string> waiting_for_restart(Program program, const ConfigValues& running,
                                             const ConfigValues& read,
                                             std::string_view export_store) {
    std::set<std::pair<std::string, std::string>> keys;
    for (const ConfigValues* values : {&running, &read}) {
        for (const auto& [section, entries] : *values) {
            for (const auto& entry : entries) keys.emplace(section, entry.first);
        }
    }
    std::vector<std::string> out;
    const std::string of_exports = "store." + std::string(export_store);
    for (const auto& [section, name] : keys) {
        const ConfigKey* const key = find_key(section, name);
        if (key == nullptr || value_of(running, section, name) == value_of(read, section, name))
            continue;
        if (is_overridden(program, section, running) && is_overridden(program, section, read))
            continue;
        const Change change = program == Program::kDaemon ? key->daemon : key->shim;
        if (change == kRestart || (change == kLiveButExports && section == of_exports))
            out.push_back("[" + section + "] " + name);
    }
    return out;
}

}  // namespace export_worker::options
