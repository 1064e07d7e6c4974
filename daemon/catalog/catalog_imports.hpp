// The catalog as imports fill it. A batch is one transaction. [any-thread], durable when they
// return.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "base/result.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::catalog {

// Errors: those of catalog_store.hpp; then nothing of the batch was written.
class CatalogImports {
public:
    virtual ~CatalogImports() = default;

    // Adds or replaces `products`, and adds `paths` to the property paths in use. The same body
    // again, without a new version, changes nothing, not even the time of the last change. A
    // product that brings no version gets 1 when it is new, otherwise the one after its last. Of a
    // key that comes twice the later product stays, and each was a change.
    [[nodiscard]] virtual Result<void> put_products(std::string_view organization_id,
                                                    std::span<const model::Product> products,
                                                    std::span<const std::string> paths) = 0;
    // Adds `prices`. One replaces another of the same product, variant, type, currency, brand and
    // start; of two in `prices` the later stays.
    [[nodiscard]] virtual Result<void> put_prices(std::string_view organization_id,
                                                  std::span<const model::Price> prices) = 0;
};

}  // namespace export_worker::catalog
