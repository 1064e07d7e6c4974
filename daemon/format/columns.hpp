// Which columns an export has, and where each takes its value from.
//
// System columns come from the product's own fields; every other name is a property path. A
// property that has the name of a system column is reached with "properties." in front.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "daemon/model/export_spec.hpp"

namespace export_worker::format {

enum class ColumnSource : std::uint8_t {
    kProperty,
    kKey,
    kProductType,
    kIsPublished,
    kVariantKey,
    kRowType,  // "product" or "variant".
    kVersion,
    kUpdatedAt,
    kPublishStatus,
    kLabels,
    kPrice,  // prices.TYPE.CURRENCY: the variant's, else the product's.
};

struct Column {
    model::ExportColumn asked;
    ColumnSource source = ColumnSource::kProperty;
    std::string path;      // kProperty: the path. kPrice: the type.
    std::string currency;  // kPrice.
    std::size_t slot = 0;  // kProperty: its number among the paths the reader looks for.
};

// The columns of `spec`: those asked for, or the system columns of every export (with row_type
// first for parent_child) and all `property_paths`. Errors: kInvalidArgument, naming every column
// that is neither, and more columns than the format can have.
[[nodiscard]] Result<std::vector<Column>> resolve_columns(
    const model::ExportSpec& spec, const std::vector<std::string>& property_paths);

[[nodiscard]] bool wants_prices(const std::vector<Column>& columns);

}  // namespace export_worker::format
