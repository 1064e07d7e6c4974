// Where jobs, the catalog and the identity of this daemon are: files of its state directory, or one
// PostgreSQL schema that several daemons share.
#pragma once

#include <memory>
#include <string>

#include "base/result.hpp"
#include "daemon/auth/auth_store.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/cluster/membership.hpp"
#include "daemon/config/config.hpp"
#include "daemon/jobs/job_store.hpp"
#include "daemon/jobs/standing.hpp"

namespace export_worker::app {

struct Databases {
    // nullptr: they are files, and this daemon is alone.
    std::unique_ptr<cluster::Membership> membership;
    std::unique_ptr<auth::AuthStore> auth;
    std::unique_ptr<jobs::JobStore> jobs;
    std::unique_ptr<catalog::CatalogStore> catalog;

    // Lasts as long as the membership.
    [[nodiscard]] jobs::Standing standing() const;
};

// Brings their schemas up to date, and joins the daemons that share them. Errors: those of each
// database; kFailedPrecondition where state_dir has databases that a shared one does not know of.
[[nodiscard]] Result<Databases> open_databases(const config::Config& config,
                                               const std::string& version);

// As PostgreSQL's folders take it.
[[nodiscard]] postgres::DatabaseOptions database_options_of(const config::Config& config);
// The same past the pooler, where there is one and a way past it.
[[nodiscard]] postgres::DatabaseOptions direct_options_of(const config::Config& config);

}  // namespace export_worker::app
