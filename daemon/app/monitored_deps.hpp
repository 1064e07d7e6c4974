// The parts of the daemon that say of themselves how they are, for alarms and metrics.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "daemon/auth/auth_store.hpp"
#include "daemon/auth/authenticator.hpp"
#include "daemon/auth/session_verifier.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/credentials/credential_store.hpp"
#include "daemon/export/export_workers.hpp"
#include "daemon/export/sweeper.hpp"
#include "daemon/jobs/housekeeper.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/notices/notifier.hpp"
#include "daemon/plugins/lifecycle/plugin_host.hpp"
#include "daemon/server/data_server.hpp"

namespace export_worker::app {

// All outlive what uses them.
struct MonitoredDeps {
    std::string state_dir;
    std::vector<std::string> directories;  // Whose file systems need free space.
    const auth::Authenticator& authenticator;
    const auth::AuthStore& auth;
    const auth::SessionVerifier& sessions;
    jobs::JobStore& jobs;
    const catalog::CatalogStore& catalog;
    const notices::Notifier& notifier;
    const jobs::Housekeeper& housekeeper;
    const exports::Sweeper* sweeper = nullptr;               // Null: this daemon has no files.
    const exports::ExportWorkers* export_workers = nullptr;  // Null: this daemon runs no exports.
    const files::FileStore* files = nullptr;                 // Of the exports; null as above.
    std::string export_store;                                // Its name.
    cluster::Membership* cluster = nullptr;                  // Null: this daemon is alone.
    plugins::PluginHost& plugins;
    const server::DataServer& data_server;
    std::function<std::vector<credentials::CredentialState>()> credential_states;
    // Why the configuration in use is not the one that was to be read last; empty: it is.
    std::function<std::string()> refused_configuration;
    // When the configuration in use was taken over, Unix time.
    std::function<std::int64_t()> configured_us;
};

}  // namespace export_worker::app
