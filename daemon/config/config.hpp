// The daemon's configuration, validated as a whole before anything starts.
//
// etc/export-worker.ini shows every key with its default.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "base/options/config_file.hpp"
#include "base/result.hpp"
#include "base/shared_limits.hpp"
#include "daemon/config/limits.hpp"
#include "daemon/model/auth_settings.hpp"
#include "daemon/model/limits.hpp"
#include "daemon/model/store_settings.hpp"
#include "daemon/model/webhook_settings.hpp"

namespace export_worker::config {

struct PluginConfig {
    std::string name;
    std::string file;                           // Absolute path of the .so.
    std::string golden_file;                    // Absolute, or empty: the one beside `file`.
    std::vector<std::string> allow_imports;     // Although the import lint forbids them.
    std::map<std::string, std::string> values;  // The other keys of its section.
};

// [plugins]: how a plugin is replaced.
struct ReloadConfig {
    std::uint64_t bake_s = 60;  // 0: no bake.
    std::uint64_t bake_failure_percent = 1;
    std::uint64_t bake_latency_factor = 4;
    std::uint64_t bake_stall_ms = 2'000;
    std::uint64_t bake_requests_min = 0;
    std::uint64_t bake_shadow = 0;
    std::uint64_t drain_s = 30;
    std::uint64_t probe_timeout_s = 10;
    std::uint64_t generations_max = 16;
    bool unmap = false;
    bool watch = false;
    std::vector<std::string> allow_needed;
};

// [database]: where jobs, the catalog and the identity are.
struct DatabaseConfig {
    bool is_shared = false;  // kind = postgres. Otherwise files of state_dir, and the rest unused.
    std::string conninfo;    // As libpq takes it, without a password.
    std::string direct_conninfo;  // Past the pooler, for the lease; empty: conninfo.
    std::string password_file;    // Absolute; empty: none.
    std::string schema = "export_worker";
    std::size_t connections = limits::kDatabaseConnectionsDefault;
    bool is_pooled = false;  // Transactions of one session may be on different connections.
    std::chrono::seconds lease = limits::kDatabaseLeaseDefault;
    bool require_synchronous = true;                         // Otherwise an alarm.
    std::size_t lookup_cache = limits::kLookupCacheDefault;  // Jobs.
};

// [export]
struct ExportConfig {
    bool operator==(const ExportConfig&) const = default;

    unsigned workers = 1;
    std::string store;  // Name of the store exports are written to.
    std::chrono::seconds orphan_grace = limits::kOrphanGraceDefault;
    std::chrono::seconds sweep_interval = limits::kOrphanSweepInterval;
    int attempts = limits::kJobAttemptsDefault;
    std::chrono::milliseconds retry_base = limits::kJobRetryBaseDefault;
    std::chrono::seconds retry_max = limits::kJobRetryMaxDefault;
    std::chrono::seconds attempt_limit = limits::kJobAttemptLimitDefault;
    std::chrono::seconds stall_limit = limits::kJobStallLimitDefault;
    std::chrono::seconds deadline = limits::kJobDeadlineDefault;          // Zero: none.
    std::chrono::seconds file_retention = limits::kFileRetentionDefault;  // Zero: for ever.
    std::chrono::seconds job_retention = limits::kJobRetentionDefault;    // Zero: for ever.
    int organization_running_max = limits::kOrganizationRunningDefault;
};

struct Config {
    std::string state_dir;  // Databases, staged plugins, the lock. Absolute.
    std::string data_endpoint;
    std::string control_endpoint;
    std::string tcp_endpoint;  // Empty: no TCP. Otherwise the next two are there.
    std::string curve_key_file;
    std::string curve_clients_file;
    std::size_t tcp_connections_max = limits::kTcpConnectionsDefault;
    std::string log_level = "info";
    std::string log_format = "text";
    std::string instance_name;   // What other daemons and operators call this one.
    std::string metrics_listen;  // ADDRESS:PORT; empty: only exportctl shows them.
    unsigned data_socket_mode = 0660;
    unsigned control_socket_mode = 0600;
    unsigned server_workers = 4;
    model::AuthSettings auth;
    DatabaseConfig database;
    ExportConfig exports;
    std::string notice_endpoint;  // Empty: notices are not published.
    unsigned notice_socket_mode = 0660;
    std::vector<model::WebhookSettings> webhooks;
    std::vector<model::StoreSettings> stores;
    std::vector<PluginConfig> plugins;
    ReloadConfig reload;
    options::ConfigValues values;  // As the file has them.
};

// Errors: kInvalidArgument (unknown key or section, bad value, contradiction), naming file, section
// and key; kNotFound when there is no such file. `problems`: collects what is wrong with values, in
// whose place the configuration then has its defaults; null: the first is the error.
[[nodiscard]] Result<Config> read_config(const std::string& path,
                                         options::Problems* problems = nullptr);

}  // namespace export_worker::config
