// The catalog as exports read it. [any-thread]
//
// Reading goes in key order, batch by batch, and no batch keeps anything of the one before: a
// product that is changed while an export runs appears once, old or new; one added behind the
// reading point is missed. The prices of a product come in the order of variant, type, currency,
// brand and start.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/export_spec.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::catalog {

// Where the next batch begins, and what it is about.
struct BatchQuery {
    std::string organization_id;
    const model::ExportFilter* filter =
        nullptr;  // Borrowed. Labels and properties are not looked at here.
    bool with_prices = false;
    std::int64_t prices_at_us = 0;  // Prices effective at this instant.
    std::string after_key;          // Moved on by read_batch().
    bool at_end = false;            // Set by read_batch(): nothing follows this batch.
};

// Errors: those of catalog_store.hpp.
class CatalogReader {
public:
    virtual ~CatalogReader() = default;

    // The products after `query.after_key` that the filter keeps, in the order of their keys'
    // bytes: at most kCatalogBatchRows, at most about kCatalogBatchBytes, out of at most
    // kCatalogScanRows looked at; so a batch may be empty before the end. Replaces the content of
    // `batch`, reusing it.
    [[nodiscard]] virtual Result<void> read_batch(BatchQuery& query,
                                                  std::vector<model::Product>& batch) = 0;
    // Looks `keys` up from the first on, and ends early as a batch does; returns how many it looked
    // up, at least one. Replaces the content of `batch` by their products, in the order of `keys`;
    // a key that no product has is left out. Prices when the query wants them; its filter and its
    // place do not count.
    [[nodiscard]] virtual Result<std::size_t> find(const BatchQuery& query,
                                                   std::span<const std::string> keys,
                                                   std::vector<model::Product>& batch) = 0;
    // Products of the organization; kept up to date by imports, so that asking costs one row.
    [[nodiscard]] virtual Result<std::int64_t> count(std::string_view organization_id) = 0;
    // Every property path in use, product and variant level together, in the order of their bytes.
    [[nodiscard]] virtual Result<std::vector<std::string>> property_paths(
        std::string_view organization_id) = 0;
};

}  // namespace export_worker::catalog
