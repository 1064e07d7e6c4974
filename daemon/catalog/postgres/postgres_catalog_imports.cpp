#include "daemon/catalog/postgres/postgres_catalog_imports.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <map>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/text.hpp"
#include "daemon/catalog/limits.hpp"
#include "daemon/catalog/postgres/organization_lock.hpp"

namespace export_worker::catalog::pg {
namespace {

using model::Price;
using model::Product;
using postgres::Connection;
using postgres::UnixTime;

using Texts = std::vector<std::string_view>;
using Numbers = std::vector<std::int64_t>;

// $1 organization, $2 now, $3 to $8 a column each, $9 whether the products bring their versions. A
// product that is there already with this content is left out before it could be locked and
// written; under the lock of its organization it stays as it is. LIMIT keeps the planner from
// joining with all products of the organization.
constexpr const char* kPutProducts =
    "INSERT INTO product AS known (organization_id, key, product_type, publish_status, "
    "is_published, version, updated_at, body) "
    "SELECT $1, line.key, line.product_type, line.publish_status, line.is_published <> 0, "
    "    line.version, $2, line.body "
    "FROM unnest($3::text[], $4::text[], $5::text[], $6::bigint[], $7::bigint[], $8::text[]) "
    "    AS line (key, product_type, publish_status, is_published, version, body) "
    "LEFT JOIN LATERAL (SELECT body, version FROM product WHERE organization_id = $1 "
    "    AND key = line.key LIMIT 1) AS found ON true "
    "WHERE found.body IS DISTINCT FROM line.body OR ($9 AND found.version <> line.version) "
    "ON CONFLICT (organization_id, key) DO UPDATE SET product_type = excluded.product_type, "
    "publish_status = excluded.publish_status, is_published = excluded.is_published, "
    "version = CASE WHEN $9 THEN excluded.version ELSE known.version + 1 END, "
    "updated_at = excluded.updated_at, body = excluded.body";

// $1 organization, $2 to $9 a column each.
constexpr const char* kPutPrices =
    "INSERT INTO price (organization_id, product_key, variant_key, price_type, currency, "
    "brand_key, effective_from_us, effective_to_us, amount) "
    "SELECT $1, line.* FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::text[], "
    "    $7::bigint[], $8::bigint[], $9::text[]) AS line (product_key, variant_key, price_type, "
    "    currency, brand_key, effective_from_us, effective_to_us, amount) "
    "LEFT JOIN LATERAL (SELECT effective_to_us, amount FROM price WHERE organization_id = $1 "
    "    AND product_key = line.product_key AND variant_key = line.variant_key "
    "    AND price_type = line.price_type AND currency = line.currency "
    "    AND brand_key = line.brand_key AND effective_from_us = line.effective_from_us LIMIT 1) "
    "    AS found ON true "
    "WHERE found.amount IS DISTINCT FROM line.amount "
    "    OR found.effective_to_us <> line.effective_to_us "
    "ON CONFLICT (organization_id, product_key, variant_key, price_type, currency, brand_key, "
    "effective_from_us) DO UPDATE SET effective_to_us = excluded.effective_to_us, "
    "amount = excluded.amount";

Result<void> check_storable(std::string_view what, std::string_view text) {
    if (postgres::is_storable(text)) return {};
    return fail(ErrorCode::kInvalidArgument,
                std::string(what) + ": expected UTF-8 without U+0000, found '" + printable(text) +
                    "'; PostgreSQL can hold nothing else");
}

Result<void> check_all_storable(std::span<const Product> products) {
    for (const Product& product : products) {
        EW_CHECK(check_storable("key", product.key));
        for (const std::string* text :
             {&product.product_type, &product.publish_status, &product.body})
            EW_CHECK(check_storable("product " + product.key, *text));
    }
    return {};
}

Result<void> check_all_storable(std::span<const Price> prices) {
    for (const Price& price : prices) {
        for (const std::string* text : {&price.product_key, &price.variant_key, &price.price_type,
                                        &price.currency, &price.brand_key, &price.amount})
            EW_CHECK(check_storable("price", *text));
    }
    return {};
}

// Products of one statement: each key once, and all with a version or none.
struct Group {
    bool has_versions = false;
    std::vector<const Product*> products;
};

// In the order they have to be written in: what comes again with the same key comes later.
std::vector<Group> groups_of(std::span<const Product> products) {
    std::unordered_map<std::string_view, std::size_t> times;
    std::map<std::pair<std::size_t, bool>, Group> groups;
    for (const Product& product : products) {
        const bool has_version = product.version > 0;
        Group& group = groups[{times[product.key]++, has_version}];
        group.has_versions = has_version;
        group.products.push_back(&product);
    }
    std::vector<Group> out;
    out.reserve(groups.size());
    for (auto& [place, group] : groups) out.push_back(std::move(group));
    return out;
}

// The first of `left` that one statement takes, at least one. `bytes_of`: how long one is.
template <typename Row, typename BytesOf>
std::span<const Row* const> take_part(std::span<const Row* const>& left, const BytesOf& bytes_of) {
    std::size_t rows = 0;
    std::size_t bytes = 0;
    while (rows < left.size() && rows < limits::kCatalogWriteRows &&
           bytes < limits::kCatalogWriteBytes)
        bytes += bytes_of(*left[rows++]);
    const auto part = left.first(rows);
    left = left.subspan(rows);
    return part;
}

Result<void> put_part(Connection& connection, std::string_view organization_id,
                      std::span<const Product* const> part, bool has_versions,
                      std::int64_t now_us) {
    Texts keys, types, statuses, bodies;
    Numbers published, versions;
    for (const Product* product : part) {
        keys.emplace_back(product->key);
        types.emplace_back(product->product_type);
        statuses.emplace_back(product->publish_status);
        published.push_back(product->is_published ? 1 : 0);
        versions.push_back(std::max<std::int64_t>(product->version, 1));
        bodies.emplace_back(product->body);
    }
    return connection.change(kPutProducts, organization_id, UnixTime{now_us}, keys, types, statuses,
                             published, versions, bodies, has_versions);
}

Result<void> put_group(Connection& connection, std::string_view organization_id, const Group& group,
                       std::int64_t now_us) {
    std::span<const Product* const> left = group.products;
    while (!left.empty()) {
        const auto part =
            take_part(left, [](const Product& product) { return product.body.size(); });
        EW_CHECK(put_part(connection, organization_id, part, group.has_versions, now_us));
    }
    return {};
}

Result<void> put_paths(Connection& connection, std::string_view organization_id,
                       std::span<const std::string> paths) {
    if (paths.empty()) return {};
    return connection.change(
        "INSERT INTO property_path SELECT $1, path FROM unnest($2::text[]) AS line (path) ON "
        "CONFLICT DO NOTHING",
        organization_id, paths);
}

// Of several products or prices with one key, the last one stays.
std::vector<const Price*> last_of_each(std::span<const Price> prices) {
    struct Place {
        const Price* price;
        [[nodiscard]] auto tied() const {
            return std::tie(price->product_key, price->variant_key, price->price_type,
                            price->currency, price->brand_key, price->effective_from_us);
        }
        bool operator<(const Place& other) const { return tied() < other.tied(); }
    };
    std::vector<Place> places;
    places.reserve(prices.size());
    for (const Price& price : prices) places.push_back({&price});
    std::ranges::stable_sort(places, std::less<>());
    std::vector<const Price*> out;
    for (std::size_t index = 0; index < places.size(); ++index) {
        const bool is_last = index + 1 == places.size() || places[index] < places[index + 1];
        if (is_last) out.push_back(places[index].price);
    }
    return out;
}

Result<void> put_part(Connection& connection, std::string_view organization_id,
                      std::span<const Price* const> part) {
    Texts products, variants, types, currencies, brands, amounts;
    Numbers from, to;
    for (const Price* price : part) {
        products.emplace_back(price->product_key);
        variants.emplace_back(price->variant_key);
        types.emplace_back(price->price_type);
        currencies.emplace_back(price->currency);
        brands.emplace_back(price->brand_key);
        from.push_back(price->effective_from_us);
        to.push_back(price->effective_to_us);
        amounts.emplace_back(price->amount);
    }
    return connection.change(kPutPrices, organization_id, products, variants, types, currencies,
                             brands, from, to, amounts);
}

}  // namespace

Result<void> PostgresCatalogImports::put_products(std::string_view organization_id,
                                                  std::span<const Product> products,
                                                  std::span<const std::string> paths) {
    EW_CHECK(check_all_storable(products));
    for (const std::string& path : paths) EW_CHECK(check_storable("property", path));
    const std::vector<Group> groups = groups_of(products);
    return database_.write([&](Connection& connection, std::int64_t now_us) -> Result<void> {
        EW_CHECK(lock_organization(connection, organization_id));
        for (const Group& group : groups)
            EW_CHECK(put_group(connection, organization_id, group, now_us));
        return put_paths(connection, organization_id, paths);
    });
}

Result<void> PostgresCatalogImports::put_prices(std::string_view organization_id,
                                                std::span<const Price> prices) {
    EW_CHECK(check_all_storable(prices));
    const std::vector<const Price*> kept = last_of_each(prices);
    return database_.write([&](Connection& connection, std::int64_t) -> Result<void> {
        EW_CHECK(lock_organization(connection, organization_id));
        std::span<const Price* const> left = kept;
        while (!left.empty()) {
            const auto part = take_part(left, [](const Price&) { return sizeof(Price); });
            EW_CHECK(put_part(connection, organization_id, part));
        }
        return {};
    });
}

}  // namespace export_worker::catalog::pg
