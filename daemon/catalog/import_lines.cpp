#include "daemon/catalog/import_lines.hpp"

#include <algorithm>
#include <utility>

#include "base/shared_limits.hpp"
#include "daemon/model/product.hpp"

namespace export_worker::catalog {
namespace {

bool is_blank(std::string_view line) {
    return line.find_first_not_of(" \t\r") == std::string_view::npos;
}

// What `parse` makes of each line; bad ones go to the report.
template <typename Row, typename Parse>
std::vector<Row> parse_lines(std::string_view lines, std::int64_t first_line, ImportReport& report,
                             const Parse& parse) {
    std::vector<Row> out;
    for (std::int64_t number = first_line; !lines.empty(); ++number) {
        const std::size_t end = std::min(lines.find('\n'), lines.size());
        const std::string_view line = lines.substr(0, end);
        lines.remove_prefix(std::min(end + 1, lines.size()));
        if (is_blank(line)) continue;
        auto row = parse(line);
        if (row) {
            out.push_back(std::move(*row));
            continue;
        }
        ++report.rejected;
        if (report.errors.size() < limits::kImportErrorsShownMax)
            report.errors.push_back({number, row.error().message});
    }
    report.imported = static_cast<std::int64_t>(out.size());
    return out;
}

// Sorted, without repetition.
std::vector<std::string> all_paths(model::PropertyPaths&& paths) {
    std::vector<std::string> out = std::move(paths.product);
    out.insert(out.end(), paths.variant.begin(), paths.variant.end());
    std::ranges::sort(out);
    out.erase(std::unique(out.begin(), out.end()), out.end());
    return out;
}

}  // namespace

Result<ImportReport> import_products(CatalogImports& catalog, std::string_view organization_id,
                                     std::string_view lines, std::int64_t first_line) {
    ImportReport report;
    model::PropertyPaths paths;
    const auto products = parse_lines<model::Product>(
        lines, first_line, report,
        [&](std::string_view line) { return model::parse_product(line, &paths); });
    EW_CHECK(catalog.put_products(organization_id, products, all_paths(std::move(paths))));
    return report;
}

Result<ImportReport> import_prices(CatalogImports& catalog, std::string_view organization_id,
                                   std::string_view lines, std::int64_t first_line) {
    ImportReport report;
    const auto prices = parse_lines<model::Price>(lines, first_line, report, model::parse_price);
    EW_CHECK(catalog.put_prices(organization_id, prices));
    return report;
}

}  // namespace export_worker::catalog
