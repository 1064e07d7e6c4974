#include "daemon/app/databases.hpp"

#include <utility>

#include "base/clock.hpp"
#include "base/crypto/sha256.hpp"
#include "base/hex.hpp"
#include "base/io.hpp"
#include "base/limits.hpp"
#include "daemon/app/limits.hpp"
#include "daemon/auth/postgres/postgres_auth_store.hpp"
#include "daemon/auth/sqlite/sqlite_auth_store.hpp"
#include "daemon/catalog/postgres/postgres_catalog_store.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/jobs/postgres/postgres_job_store.hpp"
#include "daemon/jobs/sqlite/sqlite_job_store.hpp"

namespace export_worker::app {
namespace {

jobs::JobPolicy job_policy_of(const config::Config& config, const std::string& version) {
    return {config.exports.attempts, config.exports.organization_running_max, version,
            config.exports.workers > 0, ""};
}

// Files that every daemon must have alike: links that one makes are checked by the shim of another,
// and a role must mean the same everywhere. One that cannot be read differs.
cluster::FileHashes hash_shared_files(const config::Config& config) {
    cluster::FileHashes out;
    const auto add = [&](const std::string& name, const std::string& path) {
        if (path.empty()) return;
        const auto bytes = read_file(path, limits::kHashedFileBytesMax);
        out[name] = bytes ? to_hex(crypto::sha256(*bytes)).substr(0, 16) : "unreadable";
    };
    add("[auth] roles_file", config.auth.roles_file);
    for (const model::StoreSettings& store : config.stores) {
        const auto key = store.credentials.find("key_file");
        if (key != store.credentials.end()) add("[store." + store.name + "] key_file", key->second);
    }
    for (const model::WebhookSettings& webhook : config.webhooks)
        add("[webhook." + webhook.organization_id + "] secret_file", webhook.secret_file);
    return out;
}

Result<Databases> open_files(const config::Config& config, const std::string& version) {
    const std::string directory = config.state_dir + "/";
    Databases out;
    EW_TRY(out.auth, auth::open_sqlite_auth_store(directory + "auth.db"));
    EW_TRY(out.jobs, jobs::open_sqlite_job_store(directory + "jobs.db", system_clock(),
                                                 job_policy_of(config, version)));
    EW_TRY(out.catalog,
           catalog::open_sqlite_catalog_store(directory + "catalog.db", system_clock()));
    return out;
}

Result<Databases> open_shared(const config::Config& config, const std::string& version) {
    const config::DatabaseConfig& of = config.database;
    Databases out;
    EW_TRY(out.membership,
           cluster::Membership::join({direct_options_of(config), config.instance_name, version,
                                      of.lease, hash_shared_files(config), of.require_synchronous},
                                     system_clock()));
    const postgres::DatabaseOptions options = database_options_of(config);
    EW_TRY(out.auth, auth::open_postgres_auth_store(options, *out.membership));
    EW_TRY(out.jobs, jobs::open_postgres_job_store({options, of.lookup_cache}, *out.membership,
                                                   system_clock(), job_policy_of(config, version)));
    EW_TRY(out.catalog, catalog::open_postgres_catalog_store(options));
    return out;
}

}  // namespace

jobs::Standing Databases::standing() const {
    if (!membership) return {};
    return {.leads = [this_one = membership.get()] { return this_one->is_leader(); },
            .is_current = [this_one = membership.get()] { return this_one->is_current(); }};
}

postgres::DatabaseOptions database_options_of(const config::Config& config) {
    const config::DatabaseConfig& of = config.database;
    return {.connect = {.conninfo = of.conninfo,
                        .password_file = of.password_file,
                        .schema = of.schema,
                        .application_name = "export-worker/" + config.instance_name,
                        .pooler = of.is_pooled ? postgres::Pooler::kTransaction
                                               : postgres::Pooler::kNone},
            .connections_max = of.connections};
}

postgres::DatabaseOptions direct_options_of(const config::Config& config) {
    postgres::DatabaseOptions out = database_options_of(config);
    if (config.database.direct_conninfo.empty()) return out;
    out.connect.conninfo = config.database.direct_conninfo;
    out.connect.pooler = postgres::Pooler::kNone;
    return out;
}

Result<Databases> open_databases(const config::Config& config, const std::string& version) {
    return config.database.is_shared ? open_shared(config, version) : open_files(config, version);
}

}  // namespace export_worker::app
