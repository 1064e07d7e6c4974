// Products to the bytes of an export file.
//
// CSV: one line a variant, with the product's columns repeated; a product without variants is one
// line. A cell is the variant's own value, else the product's. Lists are joined with '|'; anything
// deeper is JSON text. JSONL: one product a line, as it was imported; with columns, an object of
// just those.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/export_spec.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::format {

// [one-owner]
class ProductEncoder {
public:
    virtual ~ProductEncoder() = default;
    // What goes before the first product. Appends.
    virtual void append_header(std::string& out) = 0;
    // Appends one product; returns its number of rows. Errors: kDataLoss when the stored product is
    // not JSON.
    [[nodiscard]] virtual Result<std::size_t> append(const model::Product& product,
                                                     std::string& out) = 0;
};

// The columns of an export: those asked for, or the system columns and all `property_paths`.
// Errors: kInvalidArgument, naming every column that is neither.
[[nodiscard]] Result<std::vector<model::ExportColumn>> resolve_columns(
    const std::vector<model::ExportColumn>& asked, const std::vector<std::string>& property_paths);

// `columns` from resolve_columns(); for JSONL empty means "the whole product".
[[nodiscard]] std::unique_ptr<ProductEncoder> make_encoder(
    model::ExportFormat format, std::vector<model::ExportColumn> columns);

}  // namespace export_worker::format
