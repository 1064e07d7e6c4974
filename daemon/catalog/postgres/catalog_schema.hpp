// The tables of the catalog. Private to daemon/catalog/postgres and daemon/migration.
//
// Texts are COLLATE "C": compared and sorted by their bytes, as in SQLite, whatever the locale of
// the database. Products are kept as text: jsonb changes bytes and refuses \u0000.
#pragma once

#include <array>

namespace export_worker::catalog::pg {

// One entry a schema version; released entries never change.
inline constexpr std::array<const char*, 1> kCatalogMigrations{R"sql(
CREATE TABLE product (
    organization_id text COLLATE "C" NOT NULL,
    key             text COLLATE "C" NOT NULL,
    product_type    text COLLATE "C" NOT NULL,
    publish_status  text COLLATE "C" NOT NULL,
    is_published    boolean NOT NULL,
    version         bigint NOT NULL,
    updated_at      timestamptz NOT NULL,
    body            text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, key)
);
CREATE TABLE property_path (
    organization_id text COLLATE "C" NOT NULL,
    path            text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, path)
);
-- Who writes rows of an organization holds the lock of its row here until the commit.
CREATE TABLE product_count (
    organization_id text COLLATE "C" PRIMARY KEY,
    products        bigint NOT NULL
) WITH (fillfactor = 20);
-- The instants come from the lines of imports, and go farther than a timestamptz.
CREATE TABLE price (
    organization_id   text COLLATE "C" NOT NULL,
    product_key       text COLLATE "C" NOT NULL,
    variant_key       text COLLATE "C" NOT NULL,
    price_type        text COLLATE "C" NOT NULL,
    currency          text COLLATE "C" NOT NULL,
    brand_key         text COLLATE "C" NOT NULL,
    effective_from_us bigint NOT NULL,
    effective_to_us   bigint NOT NULL,
    amount            text COLLATE "C" NOT NULL,
    PRIMARY KEY (organization_id, product_key, variant_key, price_type, currency, brand_key, effective_from_us)
);
CREATE TABLE export_template (
    organization_id text COLLATE "C" NOT NULL,
    name            text COLLATE "C" NOT NULL,
    body            text NOT NULL,
    updated_at      timestamptz NOT NULL,
    PRIMARY KEY (organization_id, name)
);

-- Of an INSERT ... ON CONFLICT DO UPDATE, `changed` has the rows that were added.
CREATE FUNCTION count_products() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
BEGIN
    INSERT INTO product_count
        SELECT organization_id, CASE TG_OP WHEN 'INSERT' THEN count(*) ELSE -count(*) END FROM changed
            GROUP BY organization_id ORDER BY organization_id
        ON CONFLICT (organization_id) DO UPDATE SET products = product_count.products + excluded.products;
    RETURN NULL;
END $$;
CREATE TRIGGER product_added AFTER INSERT ON product REFERENCING NEW TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_products();
CREATE TRIGGER product_dropped AFTER DELETE ON product REFERENCING OLD TABLE AS changed
    FOR EACH STATEMENT EXECUTE FUNCTION count_products();
)sql"};

}  // namespace export_worker::catalog::pg
