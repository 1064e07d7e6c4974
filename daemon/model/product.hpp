// A product as the catalog keeps it, and its prices: the public import shapes, checked.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::model {

// What a product or one of its variants costs. Amounts are decimal text, never binary floating
// point.
struct Price {
    std::string product_key;
    std::string variant_key;  // Empty: of the product.
    std::string price_type;   // One of kPriceTypes.
    std::string currency;     // ISO 4217: "EUR".
    std::string brand_key;
    std::int64_t effective_from_us = 0;       // 0: always.
    std::int64_t effective_to_us = kForever;  // First instant it is no longer good.
    std::string amount;                       // "12.50"
    static constexpr std::int64_t kForever = INT64_MAX;
};
inline constexpr std::array<std::string_view, 5> kPriceTypes{"map", "map_stepdown", "sale",
                                                             "markdown", "msrp"};
[[nodiscard]] bool is_currency(std::string_view text);  // Three of A-Z.

// One product. `body` is its JSON text: key, productType, isPublished, properties, variants,
// labels.
struct Product {
    std::string key;
    std::string product_type;
    bool is_published = false;
    std::string publish_status;  // draft, live or changed.
    std::int64_t version = 0;    // 0: the catalog counts.
    std::int64_t updated_us = 0;
    std::string body;
    std::vector<Price> prices;  // Where an export asked for them.
};

// Property paths of one product, nested objects joined with dots: "dimensions.width". At most
// kProductKeyBytesMax bytes each.
struct PropertyPaths {
    std::vector<std::string> product;
    std::vector<std::string> variant;
};

// One line of an import. Errors: kInvalidArgument, naming the field. Adds to `paths`, which may be
// null; after an error it is as before.
[[nodiscard]] Result<Product> parse_product(std::string_view line, PropertyPaths* paths);
// One line of an import of prices: amount, brand_key, product_key; price_type (map by default),
// currency (USD by default), variant_key, effective_from, effective_to. Errors: as above.
[[nodiscard]] Result<Price> parse_price(std::string_view line);

}  // namespace export_worker::model
