// Products and prices as imports write them, into a PostgreSQL schema.
//
// A batch is one transaction, which holds the lock of its organization: batches of one organization
// follow each other, whichever daemons they come from.
#pragma once

#include "daemon/catalog/catalog_imports.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::catalog::pg {

// kInvalidArgument, beside the errors of the interface: a text that PostgreSQL cannot hold. No line
// that parse_product() or parse_price() takes has one.
class PostgresCatalogImports final : public CatalogImports {
public:
    // `database` outlives it.
    explicit PostgresCatalogImports(postgres::Database& database) : database_(database) {}

    Result<void> put_products(std::string_view organization_id,
                              std::span<const model::Product> products,
                              std::span<const std::string> paths) override;
    Result<void> put_prices(std::string_view organization_id,
                            std::span<const model::Price> prices) override;

private:
    postgres::Database& database_;
};

}  // namespace export_worker::catalog::pg
