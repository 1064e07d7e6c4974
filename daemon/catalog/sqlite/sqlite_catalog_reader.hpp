// Products and their prices as exports read them, from catalog.db.
#pragma once

#include "daemon/catalog/catalog_reader.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::catalog {

class SqliteCatalogReader final : public CatalogReader {
public:
    // `database` outlives it.
    explicit SqliteCatalogReader(sqlite::Database& database) : database_(database) {}

    Result<void> read_batch(BatchQuery& query, std::vector<model::Product>& batch) override;
    Result<std::size_t> find(const BatchQuery& query, std::span<const std::string> keys,
                             std::vector<model::Product>& batch) override;
    Result<std::int64_t> count(std::string_view organization_id) override;
    Result<std::vector<std::string>> property_paths(std::string_view organization_id) override;

private:
    sqlite::Database& database_;
};

}  // namespace export_worker::catalog
