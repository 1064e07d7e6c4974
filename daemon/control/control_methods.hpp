// What only operators may ask: status, metrics, catalog imports, organizations, drain; keys,
// members and sessions are in identity_methods.hpp, daemons of one database in cluster_methods.hpp,
// fsck in maintenance_methods.hpp, backups in backup_methods.hpp, plugins in plugin_methods.hpp and
// plugin_file_methods.hpp.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/clock.hpp"
#include "base/metrics/page.hpp"
#include "base/result.hpp"
#include "daemon/auth/auth_store.hpp"
#include "daemon/auth/key_store.hpp"
#include "daemon/auth/member_store.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/control/alarm_list.hpp"
#include "daemon/control/backup_store.hpp"
#include "daemon/control/long_task.hpp"
#include "daemon/control/sent_files.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/export/fsck.hpp"
#include "daemon/jobs/housekeeper.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "daemon/server/data_server.hpp"

namespace export_worker::control {

// All outlive the control server.
struct ControlDeps {
    auth::AuthStore& auth;  // What is behind the next two.
    auth::KeyStore& keys;
    auth::MemberStore& members;
    catalog::CatalogStore& catalog;
    jobs::JobStore& jobs;
    plugins::PluginHost& plugins;
    server::DataServer& data_server;
    const model::Ledger& ledger;
    const Clock& clock;
    std::string state_dir;  // Where the databases and plugin files are.
    std::string version;
    std::string data_endpoint;
    std::int64_t started_us = 0;
    // Of the stores' credentials, now.
    std::function<std::vector<credentials::CredentialState>()> credential_states;
    AlarmList& alarms;
    // What parts count that the control server does not know. [any-thread]
    std::function<void(metrics::Page&)> add_metrics;
    // A job may be due.
    std::function<void()> wake_workers;
    jobs::Housekeeper& housekeeper;
    // What fsck looks at; null where this daemon has no files.
    const exports::ExportDeps* export_deps = nullptr;
    std::chrono::seconds orphan_grace{0};
    LongTask& task;
    BackupStore& backups;
    SentFiles& sent_files;
    cluster::Membership* cluster = nullptr;  // nullptr: this daemon shares its databases with none.
    // Errors: kInvalidArgument for roles that do not exist. Null: every role is accepted.
    std::function<Result<void>(std::span<const std::string> roles)> check_roles = {};
};

// Its errors go to the caller through wire_error() (params.hpp).
using ControlMethod = Result<nlohmann::json> (*)(const ControlDeps& deps,
                                                 const nlohmann::json& params);
struct ControlRow {
    std::string_view name;
    ControlMethod run;
};
// nullptr when none of the rows has that name.
[[nodiscard]] ControlMethod find_in(std::span<const ControlRow> rows, std::string_view method);
// nullptr when `method` is no control method.
[[nodiscard]] ControlMethod find_control_method(std::string_view method);

}  // namespace export_worker::control
