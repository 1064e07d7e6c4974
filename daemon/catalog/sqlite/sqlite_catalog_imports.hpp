// Products and prices as imports write them, into catalog.db.
#pragma once

#include <mutex>
#include <span>
#include <string>
#include <string_view>
#include <unordered_set>

#include "base/clock.hpp"
#include "daemon/catalog/catalog_imports.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::catalog {

class SqliteCatalogImports final : public CatalogImports {
public:
    // Both outlive it.
    SqliteCatalogImports(sqlite::Database& database, const Clock& clock)
        : database_(database), clock_(clock) {}

    Result<void> put_products(std::string_view organization_id,
                              std::span<const model::Product> products,
                              std::span<const std::string> paths) override;
    Result<void> put_prices(std::string_view organization_id,
                            std::span<const model::Price> prices) override;

private:
    [[nodiscard]] Result<void> put_paths(sqlite::Connection& connection,
                                         std::string_view organization_id,
                                         std::span<const std::string> paths);
    void remember_paths(std::string_view organization_id, std::span<const std::string> paths);

    sqlite::Database& database_;
    const Clock& clock_;
    std::mutex known_paths_mutex_;
    // "ORGANIZATION\0PATH" already in the database: saves a write per property and product.
    // Bounded: emptied when big.
    std::unordered_set<std::string> known_paths_;
};

}  // namespace export_worker::catalog
