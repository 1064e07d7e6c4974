// A product as the catalog keeps it: the public import shape, checked.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace export_worker::model {

// One product. `body` is its JSON text: key, productType, isPublished, properties, variants.
struct Product {
    std::string key;
    std::string product_type;
    bool is_published = false;
    std::string body;
};

// Property paths of one product, nested objects joined with dots: "dimensions.width".
struct PropertyPaths {
    std::vector<std::string> product;
    std::vector<std::string> variant;
};

// One line of an import. Errors: kInvalidArgument, naming the field. `paths` may be null.
[[nodiscard]] Result<Product> parse_product(std::string_view line, PropertyPaths* paths);

}  // namespace export_worker::model
