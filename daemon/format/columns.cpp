#include "daemon/format/columns.hpp"

#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "daemon/format/limits.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::format {
namespace {

using model::ExportColumn;

struct SystemColumn {
    std::string_view name;
    ColumnSource source;
    bool by_default;
};
constexpr std::array<SystemColumn, 9> kSystemColumns{
    {{"key", ColumnSource::kKey, true},
     {"productType", ColumnSource::kProductType, true},
     {"isPublished", ColumnSource::kIsPublished, true},
     {"variant_key", ColumnSource::kVariantKey, true},
     {"row_type", ColumnSource::kRowType, false},
     {"version", ColumnSource::kVersion, false},
     {"updatedAt", ColumnSource::kUpdatedAt, false},
     {"publishStatus", ColumnSource::kPublishStatus, false},
     {"labels", ColumnSource::kLabels, false}}};
constexpr std::string_view kPropertyPrefix = "properties.";
constexpr std::string_view kPricePrefix = "prices.";

const SystemColumn* find_system(std::string_view name) {
    const auto found = std::ranges::find(kSystemColumns, name, &SystemColumn::name);
    return found == kSystemColumns.end() ? nullptr : &*found;
}

// "prices.msrp.EUR".
bool read_price(std::string_view name, Column& out) {
    if (!name.starts_with(kPricePrefix)) return false;
    name.remove_prefix(kPricePrefix.size());
    const std::size_t dot = std::min(name.find('.'), name.size());
    const std::string_view type = name.substr(0, dot);
    const std::string_view currency = name.substr(std::min(dot + 1, name.size()));
    if (std::ranges::find(model::kPriceTypes, type) == model::kPriceTypes.end() ||
        !model::is_currency(currency))
        return false;
    out.source = ColumnSource::kPrice;
    out.path = type;
    out.currency = currency;
    return true;
}

// A path to an object is a column too: "dimensions" when "dimensions.width" is known.
bool is_known_path(std::string_view path, const std::vector<std::string>& sorted_paths) {
    const auto found = std::ranges::lower_bound(sorted_paths, path);
    if (found != sorted_paths.end() && *found == path) return true;
    const std::string below = std::string(path) + ".";
    const auto deeper = std::ranges::lower_bound(sorted_paths, below);
    return deeper != sorted_paths.end() && deeper->starts_with(below);
}

bool resolve(const ExportColumn& asked, const std::vector<std::string>& property_paths,
             Column& out) {
    out.asked = asked;
    std::string_view name = asked.property;
    if (const SystemColumn* system = find_system(name)) {
        out.source = system->source;
        return true;
    }
    if (read_price(name, out)) return true;
    if (name.starts_with(kPropertyPrefix)) name.remove_prefix(kPropertyPrefix.size());
    out.path = name;
    return is_known_path(name, property_paths);
}

std::vector<ExportColumn> default_columns(const model::ExportSpec& spec,
                                          const std::vector<std::string>& property_paths) {
    std::vector<ExportColumn> all;
    const auto add = [&](std::string_view name) {
        all.push_back({std::string(name), std::string(name), model::CellFormat::kAuto, -1});
    };
    if (spec.variants == model::VariantMode::kParentChild) add("row_type");
    for (const SystemColumn& column : kSystemColumns) {
        if (column.by_default) add(column.name);
    }
    Column unused;
    for (const std::string& path : property_paths) {
        const bool hidden = find_system(path) != nullptr || read_price(path, unused);
        add(hidden ? std::string(kPropertyPrefix) + path : path);
    }
    return all;
}

}  // namespace

Result<std::vector<Column>> resolve_columns(const model::ExportSpec& spec,
                                            const std::vector<std::string>& property_paths) {
    const std::vector<ExportColumn> asked =
        spec.columns.empty() ? default_columns(spec, property_paths) : spec.columns;
    if (spec.format == model::ExportFormat::kXlsx && asked.size() > limits::kXlsxColumnsMax) {
        return fail(ErrorCode::kInvalidArgument,
                    "columns: expected at most " + std::to_string(limits::kXlsxColumnsMax) +
                        " for xlsx, found " + std::to_string(asked.size()) +
                        "; name the columns you need");
    }
    std::vector<Column> out;
    std::string unknown;
    for (const ExportColumn& column : asked) {
        Column resolved;
        if (!resolve(column, property_paths, resolved))
            unknown += (unknown.empty() ? "" : ", ") + printable(column.property);
        out.push_back(std::move(resolved));
    }
    if (!unknown.empty())
        return fail(ErrorCode::kInvalidArgument, "columns: no product has these: " + unknown);
    return out;
}

bool wants_prices(const std::vector<Column>& columns) {
    return std::ranges::any_of(
        columns, [](const Column& column) { return column.source == ColumnSource::kPrice; });
}

}  // namespace export_worker::format
