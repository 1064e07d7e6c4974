#include "daemon/catalog/postgres/postgres_catalog_reader.hpp"

#include <algorithm>
#include <unordered_map>
#include <utility>

#include "daemon/catalog/limits.hpp"

namespace export_worker::catalog::pg {
namespace {

using model::Product;
using postgres::Connection;
using postgres::Row;
using postgres::Rows;

constexpr auto kBatchRows = static_cast<std::int64_t>(limits::kCatalogBatchRows);
constexpr auto kBatchBytes = static_cast<std::int64_t>(limits::kCatalogBatchBytes);
constexpr auto kScanRows = static_cast<std::int64_t>(limits::kCatalogScanRows);

// What read_product() reads.
#define EW_PG_PRODUCT_COLUMNS \
    "key, product_type, is_published, publish_status, version, updated_at, body"

// $1 organization, $2 after key, $3 rows to look at, $4 rows to keep, $5 bytes to keep, $6 to $10
// the filter. First the products, then, if the scan found fewer than $4, one row without a product:
// the last key that was looked at, NULL behind the last product. octet_length() reads no body that
// is stored apart.
constexpr const char* kReadBatch =
    "WITH kept AS MATERIALIZED ("
    "    SELECT " EW_PG_PRODUCT_COLUMNS
    " FROM ("
    "        SELECT " EW_PG_PRODUCT_COLUMNS
    " FROM product WHERE organization_id = $1 AND key > $2 ORDER BY key LIMIT $3"
    "    ) AS looked_at"
    "    WHERE ($6 OR product_type = ANY ($7)) AND ($8 OR publish_status = ANY ($9))"
    "        AND ($10::timestamptz IS NULL OR updated_at >= $10)"
    "    ORDER BY key LIMIT $4"
    "), measured AS ("
    "    SELECT *, sum(octet_length(body)) OVER (ORDER BY key ROWS UNBOUNDED PRECEDING)"
    "        - octet_length(body) AS bytes_before"
    "    FROM kept"
    ") "
    "SELECT " EW_PG_PRODUCT_COLUMNS
    ", NULL::text AS looked_at FROM measured WHERE bytes_before < $5 "
    "UNION ALL "
    "SELECT NULL, NULL, NULL, NULL, NULL, NULL, NULL, ("
    "    SELECT key FROM product WHERE organization_id = $1 AND key > $2 ORDER BY key"
    "    OFFSET $3 - 1 LIMIT 1"
    ") WHERE (SELECT count(*) FROM kept) < $4 "
    "ORDER BY key NULLS LAST";
constexpr int kKeyColumn = 0;
constexpr int kLookedAtColumn = 7;

// $1 organization, $2 keys, $3 bytes. LIMIT keeps the planner from joining with all products of the
// organization.
constexpr const char* kFind =
    "SELECT " EW_PG_PRODUCT_COLUMNS
    ", number FROM ("
    "    SELECT wanted.number, found.*,"
    "        sum(octet_length(body)) OVER (ORDER BY wanted.number ROWS UNBOUNDED PRECEDING)"
    "            - octet_length(body) AS bytes_before"
    "    FROM unnest($2::text[]) WITH ORDINALITY AS wanted (wanted_key, number)"
    "    CROSS JOIN LATERAL (SELECT " EW_PG_PRODUCT_COLUMNS
    " FROM product WHERE organization_id = $1 AND key = wanted.wanted_key LIMIT 1) AS found"
    ") AS measured WHERE bytes_before < $3 ORDER BY number";
constexpr int kNumberColumn = 7;

// $1 organization, $2 keys, $3 the instant.
constexpr const char* kReadPrices =
    "SELECT product_key, variant_key, price_type, currency, brand_key, effective_from_us, "
    "effective_to_us, amount FROM price WHERE organization_id = $1 AND product_key = ANY ($2) AND "
    "effective_from_us <= $3 AND effective_to_us > $3 ORDER BY product_key, variant_key, "
    "price_type, currency, brand_key, effective_from_us";

void read_product(const Row& row, Product& product) {
    product.key.assign(row.text(kKeyColumn));
    product.product_type.assign(row.text(1));
    product.is_published = row.boolean(2);
    product.publish_status.assign(row.text(3));
    product.version = row.integer(4);
    product.updated_us = row.unix_us(5);
    product.body.assign(row.text(6));
    product.prices.clear();
}

model::Price read_price(const Row& row) {
    return {row.string(0), row.string(1),  row.string(2),  row.string(3),
            row.string(4), row.integer(5), row.integer(6), row.string(7)};
}

// Products that are read into a vector whose buffers are used again. One object a run: work may run
// twice.
class Batch {
public:
    explicit Batch(std::vector<Product>& products) : products_(products) {}

    // Where the server stops.
    [[nodiscard]] bool is_full() const {
        return used_ >= limits::kCatalogBatchRows || bytes_ >= limits::kCatalogBatchBytes;
    }
    const Product& add(const Row& row) {
        if (used_ == products_.size()) products_.emplace_back();
        Product& product = products_[used_++];
        read_product(row, product);
        bytes_ += product.body.size();
        return product;
    }
    // Drops what is left of the batch before.
    std::vector<Product>& end() {
        products_.resize(used_);
        return products_;
    }

private:
    std::vector<Product>& products_;
    std::size_t used_ = 0;
    std::size_t bytes_ = 0;  // The sum of all bodies so far.
};

// No row has a text that PostgreSQL cannot hold, but as a parameter it would become that of one.
std::vector<std::string_view> storable(std::span<const std::string> texts) {
    std::vector<std::string_view> out;
    for (const std::string& text : texts) {
        if (postgres::is_storable(text)) out.emplace_back(text);
    }
    return out;
}
// The same with each key in its place: no product has an empty one.
std::vector<std::string_view> storable_or_empty(std::span<const std::string> keys) {
    std::vector<std::string_view> out;
    out.reserve(keys.size());
    for (const std::string& key : keys)
        out.push_back(postgres::is_storable(key) ? std::string_view(key) : std::string_view());
    return out;
}

Result<void> join_prices(Connection& connection, const BatchQuery& query,
                         std::vector<Product>& batch) {
    if (!query.with_prices || batch.empty()) return {};
    std::vector<std::string_view> keys;
    std::unordered_multimap<std::string_view, Product*> by_key;  // find() may give one twice.
    for (Product& product : batch) {
        keys.emplace_back(product.key);
        by_key.emplace(product.key, &product);
    }
    EW_TRY(const Rows rows,
           connection.query(kReadPrices, query.organization_id, keys, query.prices_at_us));
    for (const Row row : rows) {
        const auto [first, last] = by_key.equal_range(row.text(0));
        for (auto each = first; each != last; ++each)
            each->second->prices.push_back(read_price(row));
    }
    return {};
}

Result<Rows> select_batch(Connection& connection, const BatchQuery& query) {
    static const model::ExportFilter kAll;
    const model::ExportFilter& filter = query.filter == nullptr ? kAll : *query.filter;
    return connection.query(kReadBatch, query.organization_id, query.after_key, kScanRows,
                            kBatchRows, kBatchBytes, filter.product_types.empty(),
                            storable(filter.product_types), filter.publish_statuses.empty(),
                            storable(filter.publish_statuses),
                            postgres::unix_time(filter.updated_since_us));
}

// Where reading goes on.
struct Place {
    std::string after_key;
    bool at_end = false;
};

Place take_batch(const Rows& rows, Batch& batch) {
    Place place;
    for (const Row row : rows) {
        if (row.optional_string(kKeyColumn)) {
            place.after_key = batch.add(row).key;
            continue;
        }
        if (batch.is_full()) break;  // By its bytes: the scan went farther than the batch.
        auto looked_at = row.optional_string(kLookedAtColumn);
        place.at_end = !looked_at;
        if (looked_at) place.after_key = std::move(*looked_at);
    }
    return place;
}

}  // namespace

Result<void> PostgresCatalogReader::read_batch(BatchQuery& query, std::vector<Product>& products) {
    auto place = database_.read([&](Connection& connection) -> Result<Place> {
        EW_TRY(const Rows rows, select_batch(connection, query));
        Batch batch(products);
        Place reached = take_batch(rows, batch);
        EW_CHECK(join_prices(connection, query, batch.end()));
        return reached;
    });
    if (!place) return fail(std::move(place.error()));
    if (!place->after_key.empty()) query.after_key = std::move(place->after_key);
    query.at_end = place->at_end;
    return {};
}

Result<std::size_t> PostgresCatalogReader::find(const BatchQuery& query,
                                                std::span<const std::string> keys,
                                                std::vector<Product>& products) {
    const auto asked = keys.first(std::min(keys.size(), limits::kCatalogBatchRows));
    return database_.read([&](Connection& connection) -> Result<std::size_t> {
        EW_TRY(const Rows rows, connection.query(kFind, query.organization_id,
                                                 storable_or_empty(asked), kBatchBytes));
        Batch batch(products);
        std::size_t last = 0;
        for (const Row row : rows) {
            batch.add(row);
            last = static_cast<std::size_t>(row.integer(kNumberColumn));
        }
        const std::size_t looked_up = batch.is_full() ? last : asked.size();
        EW_CHECK(join_prices(connection, query, batch.end()));
        return looked_up;
    });
}

Result<std::int64_t> PostgresCatalogReader::count(std::string_view organization_id) {
    return database_.read([&](Connection& connection) -> Result<std::int64_t> {
        EW_TRY(const Rows rows,
               connection.query("SELECT products FROM product_count WHERE organization_id = $1",
                                organization_id));
        return rows.empty() ? 0 : rows.front().integer(0);
    });
}

Result<std::vector<std::string>> PostgresCatalogReader::property_paths(
    std::string_view organization_id) {
    return database_.read([&](Connection& connection) -> Result<std::vector<std::string>> {
        EW_TRY(const Rows rows,
               connection.query(
                   "SELECT path FROM property_path WHERE organization_id = $1 ORDER BY path",
                   organization_id));
        return rows.texts();
    });
}

}  // namespace export_worker::catalog::pg
