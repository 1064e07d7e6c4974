// The tables of catalog.db. Private to daemon/catalog/sqlite and daemon/migration.
#pragma once

#include <array>
#include <cstdint>

namespace export_worker::catalog {

inline constexpr std::int64_t kCatalogApplicationId = 0x45574331;  // "EWC1"
// One entry a schema version; released entries never change. Clustered by key and with large pages,
// because an export reads whole products in key order.
inline constexpr std::array<const char*, 2> kCatalogMigrations{
    R"sql(
CREATE TABLE product (
    organization_id TEXT NOT NULL,
    key             TEXT NOT NULL,
    product_type    TEXT NOT NULL,
    is_published    INTEGER NOT NULL CHECK (is_published IN (0, 1)),
    updated_us      INTEGER NOT NULL,
    body            TEXT NOT NULL,
    PRIMARY KEY (organization_id, key)
) STRICT, WITHOUT ROWID;
CREATE TABLE property_path (
    organization_id TEXT NOT NULL,
    path            TEXT NOT NULL,
    PRIMARY KEY (organization_id, path)
) STRICT, WITHOUT ROWID;
)sql",
    // The count is kept by triggers: counting a
    // million products reads all their pages.
    R"sql(
ALTER TABLE product ADD COLUMN version INTEGER NOT NULL DEFAULT 1;
ALTER TABLE product ADD COLUMN publish_status TEXT NOT NULL DEFAULT '';
UPDATE product SET publish_status = iif(is_published, 'live', 'draft');
CREATE TABLE product_count (
    organization_id TEXT PRIMARY KEY,
    products        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
INSERT INTO product_count SELECT organization_id, count(*) FROM product GROUP BY organization_id;
CREATE TRIGGER product_added AFTER INSERT ON product BEGIN
    INSERT INTO product_count VALUES (new.organization_id, 1)
        ON CONFLICT (organization_id) DO UPDATE SET products = products + 1;
END;
CREATE TRIGGER product_dropped AFTER DELETE ON product BEGIN
    UPDATE product_count SET products = products - 1 WHERE organization_id = old.organization_id;
END;
CREATE TABLE price (
    organization_id   TEXT NOT NULL,
    product_key       TEXT NOT NULL,
    variant_key       TEXT NOT NULL,
    price_type        TEXT NOT NULL,
    currency          TEXT NOT NULL,
    brand_key         TEXT NOT NULL,
    effective_from_us INTEGER NOT NULL,
    effective_to_us   INTEGER NOT NULL,
    amount            TEXT NOT NULL,
    PRIMARY KEY (organization_id, product_key, variant_key, price_type, currency, brand_key,
                 effective_from_us)
) STRICT, WITHOUT ROWID;
CREATE TABLE export_template (
    organization_id TEXT NOT NULL,
    name            TEXT NOT NULL,
    body            TEXT NOT NULL,
    updated_us      INTEGER NOT NULL,
    PRIMARY KEY (organization_id, name)
) STRICT, WITHOUT ROWID;
)sql"};
inline constexpr int kCatalogPageBytes = 16 * 1024;

}  // namespace export_worker::catalog
