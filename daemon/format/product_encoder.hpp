// Products to the bytes of an export file: CSV, JSON lines or a workbook.
//
// A cell is the variant's own value, else the product's. Lists are joined with '|'; anything deeper
// is JSON text. The same products give the same bytes.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "daemon/format/byte_sink.hpp"
#include "daemon/format/columns.hpp"
#include "daemon/model/export_spec.hpp"
#include "daemon/model/job.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::format {

// What happened on the way, for the job.
struct EncodeReport {
    std::int64_t products = 0;          // That are in the file.
    std::int64_t rows = 0;              // Without headers.
    std::int64_t skipped_products = 0;  // Could not be written.
    std::int64_t guarded_cells = 0;     // Formulas with an apostrophe in front.
    std::int64_t truncated_cells = 0;   // Longer than a workbook's cell can be.
    std::int64_t mismatched_cells = 0;  // Not of the format their column asks for; written as text.
    std::int64_t sheets = 0;            // Of a workbook.
    std::vector<model::JobEntry> errors;    // The first of the skipped products.
    std::vector<model::JobEntry> warnings;  // The first of the altered cells.
};

// [one-owner]. begin(), append() for each product, finish(). Errors: those of the sink;
// kInvalidArgument where the formula policy says reject, naming the cell; for a workbook also those
// of the directory for its temporary files. After an error the only legal next step is destruction.
class ProductEncoder {
public:
    virtual ~ProductEncoder() = default;
    // What goes before the first product.
    [[nodiscard]] virtual Result<void> begin() = 0;
    // A product the filter does not keep, and one that cannot be read, adds no row. May move the
    // product's body.
    [[nodiscard]] virtual Result<void> append(model::Product& product) = 0;
    // Everything is in the sink when this returns.
    [[nodiscard]] virtual Result<void> finish() = 0;
    [[nodiscard]] virtual const EncodeReport& report() const = 0;
};

struct EncoderDeps {
    const model::ExportSpec* spec = nullptr;
    std::vector<Column> columns;  // Of resolve_columns(); not looked at for nested JSONL.
    ByteSink* sink = nullptr;
    std::string temporary_directory;  // For a workbook.
};

// What `deps` point to outlives the encoder.
[[nodiscard]] std::unique_ptr<ProductEncoder> make_encoder(EncoderDeps deps);

// SHA-256 of the columns, their order, headers and formats: two files with the same hash have the
// same columns.
[[nodiscard]] std::string columns_hash(const std::vector<Column>& columns);

}  // namespace export_worker::format
