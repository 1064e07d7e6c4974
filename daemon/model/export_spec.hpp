// What an export job is asked to do, as stored on the job.
#pragma once

#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"

namespace export_worker::model {

enum class ExportFormat { kCsv, kJsonl };
[[nodiscard]] std::string_view to_string(ExportFormat format);  // "csv"; also the file's extension.
[[nodiscard]] std::string_view media_type(ExportFormat format);  // "text/csv; charset=utf-8"

struct ExportColumn {
    std::string
        property;        // "key", "productType", "isPublished", "variant_key", or a property path.
    std::string header;  // First line of the file; the property's own name by default.
};

struct ExportSpec {
    ExportFormat format = ExportFormat::kCsv;
    std::vector<std::string> product_keys;  // Empty: all products of the organization.
    std::vector<ExportColumn> columns;      // Empty: the system columns and every property, sorted.
    std::string filename;  // Suggested download name; empty: made from date and job.
};

// The object of exports.submit. Errors: kInvalidArgument, naming the field. Unknown fields are
// errors: a misspelt filter must not export everything.
[[nodiscard]] Result<ExportSpec> parse_export_spec(const nlohmann::json& object);
[[nodiscard]] nlohmann::json to_json(const ExportSpec& spec);

}  // namespace export_worker::model
