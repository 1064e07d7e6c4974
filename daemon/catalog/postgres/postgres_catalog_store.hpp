// The catalog in a PostgreSQL schema that several daemons share.
#pragma once

#include <memory>

#include "daemon/catalog/catalog_store.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::catalog {

// Brings the tables up to date. The store has connections of its own, at most as many as `options`
// say. All times are the database's. backup() and compact() are PostgreSQL's own:
// kFailedPrecondition. A read is kDeadlineExceeded after kPostgresStatementTimeout. Errors: those
// of postgres::Database::open().
[[nodiscard]] Result<std::unique_ptr<CatalogStore>> open_postgres_catalog_store(
    const postgres::DatabaseOptions& options);

}  // namespace export_worker::catalog
