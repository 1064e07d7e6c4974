// The catalog in one SQLite file.
#pragma once

#include <memory>
#include <string>

#include "base/clock.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/sqlite/durability.hpp"

namespace export_worker::catalog {

// Opens or creates the file. `clock` outlives the store. Errors: those of sqlite::Database::open().
[[nodiscard]] Result<std::unique_ptr<CatalogStore>> open_sqlite_catalog_store(
    const std::string& path, const Clock& clock,
    sqlite::Durability durability = sqlite::Durability::kSynced);

// Whether it could be opened, as sqlite::Database::check() has it.
[[nodiscard]] Result<void> check_sqlite_catalog_store(const std::string& path);

}  // namespace export_worker::catalog
