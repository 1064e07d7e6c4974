// Products and their prices as exports read them, from a PostgreSQL schema.
//
// A batch is one statement, and one more for the prices: no snapshot outlives it. Rows that a batch
// has no room for are not sent. Both statements follow primary keys.
#pragma once

#include "daemon/catalog/catalog_reader.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::catalog::pg {

class PostgresCatalogReader final : public CatalogReader {
public:
    // `database` outlives it.
    explicit PostgresCatalogReader(postgres::Database& database) : database_(database) {}

    Result<void> read_batch(BatchQuery& query, std::vector<model::Product>& batch) override;
    Result<std::size_t> find(const BatchQuery& query, std::span<const std::string> keys,
                             std::vector<model::Product>& batch) override;
    Result<std::int64_t> count(std::string_view organization_id) override;
    Result<std::vector<std::string>> property_paths(std::string_view organization_id) override;

private:
    postgres::Database& database_;
};

}  // namespace export_worker::catalog::pg
