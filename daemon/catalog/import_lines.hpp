// The lines of an import to one batch of the catalog.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/catalog/catalog_imports.hpp"

namespace export_worker::catalog {

struct ImportError {
    std::int64_t line = 0;
    std::string message;
};

struct ImportReport {
    std::int64_t imported = 0;
    std::int64_t rejected = 0;
    std::vector<ImportError> errors;  // The first kImportErrorsShownMax.
};

// Adds or replaces the products of `lines` (JSON, one a line; blank lines are skipped) in one
// batch. Bad lines are reported by number, counted from `first_line`, and cost only themselves.
// Errors: those of put_products(). [any-thread], durable when it returns.
[[nodiscard]] Result<ImportReport> import_products(CatalogImports& catalog,
                                                   std::string_view organization_id,
                                                   std::string_view lines, std::int64_t first_line);
// Adds or replaces the prices of `lines`, as import_products() does products.
[[nodiscard]] Result<ImportReport> import_prices(CatalogImports& catalog,
                                                 std::string_view organization_id,
                                                 std::string_view lines, std::int64_t first_line);

}  // namespace export_worker::catalog
