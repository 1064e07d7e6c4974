#include "daemon/catalog/sqlite/sqlite_catalog_imports.hpp"

#include <cstddef>
#include <cstdint>

namespace export_worker::catalog {
namespace {

using sqlite::Connection;

constexpr std::size_t kKnownPathsMax = 100'000;

std::string known_path(std::string_view organization_id, const std::string& path) {
    return std::string(organization_id) + '\0' + path;
}

// The same content again changes nothing, not even the time of the last change.
Result<void> put_product(Connection& connection, std::string_view organization_id,
                         const model::Product& product, std::int64_t now) {
    return connection
        .statement(
            "INSERT INTO product (organization_id, key, product_type, is_published, updated_us, "
            "body, version, publish_status) VALUES (?1, ?2, ?3, ?4, ?5, ?6, max(?7, 1), ?8) "
            "ON CONFLICT (organization_id, key) DO UPDATE SET product_type = ?3, is_published = "
            "?4, updated_us = ?5, body = ?6, publish_status = ?8, "
            "version = iif(?7 > 0, ?7, version + 1) "
            "WHERE body <> ?6 OR (?7 > 0 AND version <> ?7)")
        .bind(organization_id, product.key, product.product_type, product.is_published ? 1 : 0, now,
              product.body, product.version, product.publish_status)
        .run();
}

Result<void> put_price(Connection& connection, std::string_view organization_id,
                       const model::Price& price) {
    return connection
        .statement(
            "INSERT INTO price (organization_id, product_key, variant_key, price_type, "
            "currency, brand_key, effective_from_us, effective_to_us, amount) VALUES "
            "(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9) ON CONFLICT DO UPDATE SET "
            "effective_to_us = ?8, amount = ?9")
        .bind(organization_id, price.product_key, price.variant_key, price.price_type,
              price.currency, price.brand_key, price.effective_from_us, price.effective_to_us,
              price.amount)
        .run();
}

}  // namespace

Result<void> SqliteCatalogImports::put_products(std::string_view organization_id,
                                                std::span<const model::Product> products,
                                                std::span<const std::string> paths) {
    const std::int64_t now = clock_.unix_us();
    EW_CHECK(database_.write([&](Connection& connection) -> Result<void> {
        for (const model::Product& product : products)
            EW_CHECK(put_product(connection, organization_id, product, now));
        return put_paths(connection, organization_id, paths);
    }));
    remember_paths(organization_id, paths);
    return {};
}

Result<void> SqliteCatalogImports::put_prices(std::string_view organization_id,
                                              std::span<const model::Price> prices) {
    return database_.write([&](Connection& connection) -> Result<void> {
        for (const model::Price& price : prices)
            EW_CHECK(put_price(connection, organization_id, price));
        return {};
    });
}

Result<void> SqliteCatalogImports::put_paths(Connection& connection,
                                             std::string_view organization_id,
                                             std::span<const std::string> paths) {
    for (const std::string& path : paths) {
        {
            const std::lock_guard lock(known_paths_mutex_);
            if (known_paths_.contains(known_path(organization_id, path))) continue;
        }
        EW_CHECK(connection
                     .statement("INSERT INTO property_path (organization_id, path) VALUES (?1, ?2) "
                                "ON CONFLICT DO NOTHING")
                     .bind(organization_id, path)
                     .run());
    }
    return {};
}

void SqliteCatalogImports::remember_paths(std::string_view organization_id,
                                          std::span<const std::string> paths) {
    const std::lock_guard lock(known_paths_mutex_);
    if (known_paths_.size() > kKnownPathsMax) known_paths_.clear();
    for (const std::string& path : paths) known_paths_.insert(known_path(organization_id, path));
}

}  // namespace export_worker::catalog
