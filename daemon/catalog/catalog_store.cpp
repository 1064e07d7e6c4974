#include "daemon/catalog/catalog_store.hpp"

#include <algorithm>
#include <array>
#include <span>

#include "base/shared_limits.hpp"
#include "daemon/catalog/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::catalog {
namespace {

using model::Product;
using sqlite::Connection;
using sqlite::Statement;

constexpr std::int64_t kApplicationId = 0x45574331;  // "EWC1"
constexpr std::size_t kKnownPathsMax = 100'000;

// Clustered by key and with large pages, because an export reads whole products in key order.
constexpr std::array<const char*, 2> kMigrations{R"sql(
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
constexpr int kPageBytes = 16 * 1024;

#define EW_PRODUCT_COLUMNS \
    "key, product_type, is_published, publish_status, version, updated_us, body"

void read_product(const Statement& row, Product& product) {
    product.key.assign(row.text(0));
    product.product_type.assign(row.text(1));
    product.is_published = row.integer(2) != 0;
    product.publish_status.assign(row.text(3));
    product.version = row.integer(4);
    product.updated_us = row.integer(5);
    product.body.assign(row.text(6));
    product.prices.clear();
}

bool is_any_of(const std::vector<std::string>& wanted, std::string_view found) {
    return wanted.empty() || std::ranges::find(wanted, found) != wanted.end();
}

// What can be said without the body, which is the larger part of a row and not read for this.
bool is_wanted(const model::ExportFilter* filter, const Statement& row) {
    if (filter == nullptr) return true;
    return is_any_of(filter->product_types, row.text(1)) &&
           is_any_of(filter->publish_statuses, row.text(3)) &&
           (!filter->updated_since_us || row.integer(5) >= *filter->updated_since_us);
}

ExportTemplate read_template(const Statement& row) {
    return {row.string(0), row.string(1), row.integer(2)};
}

// Prices of the products from `first` to `last`, both sorted by product key.
Result<void> join_prices(Connection& connection, const BatchQuery& query,
                         std::span<Product> batch) {
    if (!query.with_prices || batch.empty()) return {};
    Statement rows = connection.statement(
        "SELECT product_key, variant_key, price_type, currency, brand_key, effective_from_us, "
        "effective_to_us, amount FROM price WHERE organization_id = ?1 AND product_key BETWEEN ?2 "
        "AND ?3 AND effective_from_us <= ?4 AND effective_to_us > ?4 ORDER BY product_key");
    rows.bind(query.organization_id, batch.front().key, batch.back().key, query.prices_at_us);
    auto product = batch.begin();
    for (;;) {
        EW_TRY(const bool more, rows.step());
        if (!more) return {};
        while (product != batch.end() && product->key < rows.text(0)) ++product;
        if (product == batch.end()) return {};
        if (product->key != rows.text(0)) continue;
        product->prices.push_back({rows.string(0), rows.string(1), rows.string(2), rows.string(3),
                                   rows.string(4), rows.integer(5), rows.integer(6),
                                   rows.string(7)});
    }
}

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// What `parse` makes of each line; bad ones go to the report.
template <typename Row, typename Parse>
std::vector<Row> parse_lines(std::string_view lines, std::int64_t first_line, ImportReport& report,
                             const Parse& parse) {
    std::vector<Row> out;
    for (std::int64_t number = first_line; !lines.empty(); ++number) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (is_blank(line)) continue;
        auto row = parse(line);
        if (row) {
            out.push_back(std::move(*row));
            continue;
        }
        ++report.rejected;
        if (report.errors.size() < limits::kImportErrorsShownMax)
            report.errors.push_back({number, row.error().message});
    }
    report.imported = static_cast<std::int64_t>(out.size());
    return out;
}

// Sorted, without repetition.
std::vector<std::string> all_paths(model::PropertyPaths&& paths) {
    std::vector<std::string> out = std::move(paths.product);
    out.insert(out.end(), paths.variant.begin(), paths.variant.end());
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

// The same content again changes nothing, not even the time of the last change.
Result<void> put_product(Connection& connection, std::string_view organization_id,
                         const Product& product, std::int64_t now) {
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

Result<std::unique_ptr<CatalogStore>> CatalogStore::open(const std::string& path,
                                                         const Clock& clock,
                                                         sqlite::Durability durability) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kApplicationId,
                                   .migrations = kMigrations,
                                   .page_bytes = kPageBytes,
                                   .durability = durability,
                                   .read_time_max = limits::kCatalogReadTimeMax}));
    return std::unique_ptr<CatalogStore>(new CatalogStore(std::move(database), clock));
}

Result<void> CatalogStore::check(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kApplicationId, .migrations = kMigrations});
}

Result<ImportReport> CatalogStore::import_lines(std::string_view organization_id,
                                                std::string_view lines, std::int64_t first_line) {
    ImportReport report;
    model::PropertyPaths found_paths;
    const auto products = parse_lines<Product>(
        lines, first_line, report,
        [&](std::string_view line) { return model::parse_product(line, &found_paths); });
    const std::vector<std::string> paths = all_paths(std::move(found_paths));
    const std::int64_t now = clock_.unix_us();
    EW_CHECK(database_->write([&](Connection& connection) -> Result<void> {
        for (const Product& product : products)
            EW_CHECK(put_product(connection, organization_id, product, now));
        return remember_paths(connection, organization_id, paths);
    }));
    const std::lock_guard lock(known_paths_mutex_);
    if (known_paths_.size() > kKnownPathsMax) known_paths_.clear();
    for (const std::string& path : paths)
        known_paths_.insert(std::string(organization_id) + '\0' + path);
    return report;
}

Result<ImportReport> CatalogStore::import_prices(std::string_view organization_id,
                                                 std::string_view lines, std::int64_t first_line) {
    ImportReport report;
    const auto prices = parse_lines<model::Price>(lines, first_line, report, model::parse_price);
    EW_CHECK(database_->write([&](Connection& connection) -> Result<void> {
        for (const model::Price& price : prices)
            EW_CHECK(put_price(connection, organization_id, price));
        return {};
    }));
    return report;
}

Result<void> CatalogStore::remember_paths(Connection& connection, std::string_view organization_id,
                                          const std::vector<std::string>& paths) {
    for (const std::string& path : paths) {
        {
            const std::lock_guard lock(known_paths_mutex_);
            if (known_paths_.contains(std::string(organization_id) + '\0' + path)) continue;
        }
        EW_CHECK(connection
                     .statement("INSERT INTO property_path (organization_id, path) VALUES (?1, ?2) "
                                "ON CONFLICT DO NOTHING")
                     .bind(organization_id, path)
                     .run());
    }
    return {};
}

Result<void> CatalogStore::read_batch(BatchQuery& query, std::vector<Product>& batch) {
    std::size_t used = 0;  // Products of `batch` that are new; their buffers are used again.
    EW_CHECK(database_->read([&](Connection& connection) -> Result<void> {
        Statement rows = connection.statement(
            "SELECT " EW_PRODUCT_COLUMNS
            " FROM product WHERE organization_id = ?1 AND key > ?2 ORDER BY key LIMIT ?3");
        rows.bind(query.organization_id, query.after_key,
                  static_cast<std::int64_t>(limits::kCatalogScanRows));
        std::size_t scanned = 0;
        std::size_t bytes = 0;
        std::string last_key;
        while (used < limits::kCatalogBatchRows && bytes < limits::kCatalogBatchBytes) {
            EW_TRY(const bool more, rows.step());
            if (!more) {
                query.at_end = scanned < limits::kCatalogScanRows;
                break;
            }
            ++scanned;
            last_key.assign(rows.text(0));
            if (!is_wanted(query.filter, rows)) continue;
            if (used == batch.size()) batch.emplace_back();
            read_product(rows, batch[used]);
            bytes += batch[used++].body.size();
        }
        if (!last_key.empty()) query.after_key = std::move(last_key);
        return join_prices(connection, query, std::span(batch).first(used));
    }));
    batch.resize(used);
    return {};
}

Result<Product> CatalogStore::find(const BatchQuery& query, std::string_view key) {
    return database_->read([&](Connection& connection) -> Result<Product> {
        Product product;
        {
            Statement row = connection.statement("SELECT " EW_PRODUCT_COLUMNS
                                                 " FROM product WHERE organization_id = ?1 AND "
                                                 "key = ?2");
            EW_TRY(const bool found, row.bind(query.organization_id, key).step());
            if (!found) return fail(ErrorCode::kNotFound, "Product not found");
            read_product(row, product);
        }
        EW_CHECK(join_prices(connection, query, std::span(&product, 1)));
        return product;
    });
}

Result<std::int64_t> CatalogStore::count(std::string_view organization_id) {
    return database_->read([&](Connection& connection) -> Result<std::int64_t> {
        Statement row =
            connection.statement("SELECT products FROM product_count WHERE organization_id = ?1");
        EW_TRY(const bool found, row.bind(organization_id).step());
        return found ? row.integer(0) : 0;
    });
}

Result<std::vector<std::string>> CatalogStore::property_paths(std::string_view organization_id) {
    return database_->read([&](Connection& connection) -> Result<std::vector<std::string>> {
        Statement rows = connection.statement(
            "SELECT path FROM property_path WHERE organization_id = ?1 ORDER BY path");
        rows.bind(organization_id);
        return sqlite::read_all(rows, sqlite::first_text);
    });
}

Result<void> CatalogStore::put_template(std::string_view organization_id,
                                        const ExportTemplate& entry) {
    const std::int64_t now = clock_.unix_us();
    return database_->write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection
                     .statement("INSERT INTO export_template (organization_id, name, body, "
                                "updated_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
                                "body = ?3, updated_us = ?4")
                     .bind(organization_id, entry.name, entry.body_json, now)
                     .run());
        Statement count =
            connection.statement("SELECT count(*) FROM export_template WHERE organization_id = ?1");
        EW_TRY(const bool counted, count.bind(organization_id).step());
        if (counted && count.integer(0) > static_cast<std::int64_t>(limits::kExportTemplatesMax))
            return fail(ErrorCode::kConflict, "expected at most " +
                                                  std::to_string(limits::kExportTemplatesMax) +
                                                  " templates; drop one first");
        return {};
    });
}

Result<ExportTemplate> CatalogStore::find_template(std::string_view organization_id,
                                                   std::string_view name) {
    return database_->read([&](Connection& connection) -> Result<ExportTemplate> {
        Statement row = connection.statement(
            "SELECT name, body, updated_us FROM export_template WHERE organization_id = ?1 AND "
            "name = ?2");
        EW_TRY(const bool found, row.bind(organization_id, name).step());
        if (!found) return fail(ErrorCode::kNotFound, "Template not found");
        return read_template(row);
    });
}

Result<std::vector<ExportTemplate>> CatalogStore::templates(std::string_view organization_id) {
    return database_->read([&](Connection& connection) -> Result<std::vector<ExportTemplate>> {
        Statement rows = connection.statement(
            "SELECT name, body, updated_us FROM export_template WHERE organization_id = ?1 ORDER "
            "BY name");
        rows.bind(organization_id);
        return sqlite::read_all(rows, read_template);
    });
}

Result<void> CatalogStore::drop_template(std::string_view organization_id, std::string_view name) {
    return database_->write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection
                     .statement("DELETE FROM export_template WHERE organization_id = ?1 AND name = "
                                "?2")
                     .bind(organization_id, name)
                     .run());
        if (connection.changes() == 0) return fail(ErrorCode::kNotFound, "Template not found");
        return {};
    });
}

}  // namespace export_worker::catalog
