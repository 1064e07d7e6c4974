#include "daemon/catalog/sqlite/sqlite_catalog_reader.hpp"

#include <algorithm>
#include <utility>

#include "daemon/catalog/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::catalog {
namespace {

using model::Product;
using sqlite::Connection;
using sqlite::Statement;

// What read_product() reads.
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

// Products that are read into a vector whose buffers are used again.
class Batch {
public:
    explicit Batch(std::vector<Product>& products) : products_(products) {}

    [[nodiscard]] bool is_full() const {
        return used_ >= limits::kCatalogBatchRows || bytes_ >= limits::kCatalogBatchBytes;
    }
    void add(const Statement& row) {
        if (used_ == products_.size()) products_.emplace_back();
        read_product(row, products_[used_]);
        bytes_ += products_[used_++].body.size();
    }
    [[nodiscard]] std::span<Product> products() { return std::span(products_).first(used_); }
    // Drops what is left of the batch before.
    void end() { products_.resize(used_); }

private:
    std::vector<Product>& products_;
    std::size_t used_ = 0;
    std::size_t bytes_ = 0;  // Of their bodies.
};

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

// Prices of the products from the first to the last of `batch`, which is sorted by key.
Result<void> join_prices(Connection& connection, const BatchQuery& query,
                         std::span<Product> batch) {
    if (!query.with_prices || batch.empty()) return {};
    Statement rows = connection.statement(
        "SELECT product_key, variant_key, price_type, currency, brand_key, effective_from_us, "
        "effective_to_us, amount FROM price WHERE organization_id = ?1 AND product_key BETWEEN ?2 "
        "AND ?3 AND effective_from_us <= ?4 AND effective_to_us > ?4 ORDER BY product_key, "
        "variant_key, "
        "price_type, currency, brand_key, effective_from_us");
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

Result<void> find_one(Connection& connection, const BatchQuery& query, const std::string& key,
                      Batch& batch) {
    {
        Statement row = connection.statement("SELECT " EW_PRODUCT_COLUMNS
                                             " FROM product WHERE organization_id = ?1 AND "
                                             "key = ?2");
        EW_TRY(const bool found, row.bind(query.organization_id, key).step());
        if (!found) return {};
        batch.add(row);
    }
    return join_prices(connection, query, batch.products().last(1));
}

}  // namespace

Result<void> SqliteCatalogReader::read_batch(BatchQuery& query, std::vector<Product>& products) {
    Batch batch(products);
    EW_CHECK(database_.read([&](Connection& connection) -> Result<void> {
        Statement rows = connection.statement(
            "SELECT " EW_PRODUCT_COLUMNS
            " FROM product WHERE organization_id = ?1 AND key > ?2 ORDER BY key LIMIT ?3");
        rows.bind(query.organization_id, query.after_key,
                  static_cast<std::int64_t>(limits::kCatalogScanRows));
        std::size_t scanned = 0;
        std::string last_key;
        while (!batch.is_full()) {
            EW_TRY(const bool more, rows.step());
            if (!more) {
                query.at_end = scanned < limits::kCatalogScanRows;
                break;
            }
            ++scanned;
            last_key.assign(rows.text(0));
            if (is_wanted(query.filter, rows)) batch.add(rows);
        }
        if (!last_key.empty()) query.after_key = std::move(last_key);
        return join_prices(connection, query, batch.products());
    }));
    batch.end();
    return {};
}

Result<std::size_t> SqliteCatalogReader::find(const BatchQuery& query,
                                              std::span<const std::string> keys,
                                              std::vector<Product>& products) {
    Batch batch(products);
    std::size_t looked_up = 0;
    EW_CHECK(database_.read([&](Connection& connection) -> Result<void> {
        while (looked_up < keys.size() && looked_up < limits::kCatalogBatchRows && !batch.is_full())
            EW_CHECK(find_one(connection, query, keys[looked_up++], batch));
        return {};
    }));
    batch.end();
    return looked_up;
}

Result<std::int64_t> SqliteCatalogReader::count(std::string_view organization_id) {
    return database_.read([&](Connection& connection) -> Result<std::int64_t> {
        Statement row =
            connection.statement("SELECT products FROM product_count WHERE organization_id = ?1");
        EW_TRY(const bool found, row.bind(organization_id).step());
        return found ? row.integer(0) : 0;
    });
}

Result<std::vector<std::string>> SqliteCatalogReader::property_paths(
    std::string_view organization_id) {
    return database_.read([&](Connection& connection) {
        return sqlite::select_texts(
            connection, "SELECT path FROM property_path WHERE organization_id = ?1 ORDER BY path",
            organization_id);
    });
}

}  // namespace export_worker::catalog
