// What an export job is asked to do, as stored on the job.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>
#include <nlohmann/json_fwd.hpp>

#include "base/result.hpp"

namespace export_worker::model {

enum class ExportFormat { kCsv, kJsonl, kXlsx };
// How CSV is written. rfc4180: comma, CRLF. excel: the same behind a byte order mark. excel-eu:
// semicolon, byte order mark, decimal comma. tsv: tabs.
enum class CsvProfile { kRfc4180, kExcel, kExcelEu, kTsv };
enum class Compression { kNone, kGzip, kZstd };
enum class VariantMode {
    kRowPerVariant,  // One row a variant, the product's values repeated.
    kParentChild,    // One row for the product, then one for each variant with its own values only.
    kNested,         // The product with its variants inside: JSONL only.
};
// Text that a spreadsheet would run as a formula.
enum class FormulaPolicy {
    kOff,     // Written as it is.
    kGuard,   // An apostrophe in front; counted.
    kReject,  // The export fails and names the cell.
};
enum class CellFormat {
    kAuto,
    kText,    // Text, whatever it looks like.
    kNumber,  // A number where the text is one; with `decimals`, rounded half away from zero.
    kDate,    // The day of an ISO 8601 time.
    kYesNo,   // "yes" and "no" for booleans.
    kJson,    // JSON text.
};

[[nodiscard]] std::string_view to_string(ExportFormat format);  // "csv"
[[nodiscard]] std::string_view to_string(CsvProfile profile);   // "excel-eu"
[[nodiscard]] std::string_view to_string(Compression compression);
[[nodiscard]] std::string_view to_string(VariantMode mode);  // "row_per_variant"
[[nodiscard]] std::string_view to_string(FormulaPolicy policy);

struct ExportColumn {
    bool operator==(const ExportColumn&) const = default;

    std::string property;  // A system column ("key", "prices.msrp.EUR") or a property path.
    std::string header;    // First line of the file; the property's own name by default.
    CellFormat format = CellFormat::kAuto;
    int decimals = -1;  // Of kNumber; -1: as many as there are.
};

// All that is given must hold.
struct ExportFilter {
    std::vector<std::string> product_types;     // Any of them.
    std::vector<std::string> publish_statuses;  // Any of draft, live, changed.
    std::vector<std::string> labels;            // All of them.
    std::optional<std::int64_t> updated_since_us;
    struct PropertyEquals {
        std::string path;
        std::string value;  // As its cell would read.
    };
    std::vector<PropertyEquals> properties;

    [[nodiscard]] bool empty() const {
        return product_types.empty() && publish_statuses.empty() && labels.empty() &&
               !updated_since_us && properties.empty();
    }
};

struct ExportSpec {
    ExportFormat format = ExportFormat::kCsv;
    CsvProfile profile = CsvProfile::kRfc4180;
    Compression compression = Compression::kNone;
    VariantMode variants = VariantMode::kRowPerVariant;
    FormulaPolicy formulas = FormulaPolicy::kOff;
    std::vector<std::string> product_keys;  // Empty: all products of the organization.
    ExportFilter filter;
    std::vector<ExportColumn> columns;  // Empty: the system columns and every property, sorted.
    std::string filename;               // Suggested download name; empty: made from date and job.
};

// What comes behind the last dots of the file: "csv", "tsv", "jsonl.gz".
[[nodiscard]] std::string file_extension(const ExportSpec& spec);
// "text/csv; charset=utf-8", or that of the compression.
[[nodiscard]] std::string_view media_type(const ExportSpec& spec);

// The object of exports.submit, without the fields about the job (jobs::SubmitOptions) and without
// `template`. Errors: kInvalidArgument, naming the field. Unknown fields are errors: a misspelt
// filter must not export everything. Absent fields take the defaults of their format: excel
// profiles and no others guard formulas, JSONL nests variants unless columns are given.
[[nodiscard]] Result<ExportSpec> parse_export_spec(const nlohmann::json& object);
[[nodiscard]] nlohmann::json to_json(const ExportSpec& spec);

// The object of templates.put: format, profile, compression, variants, formulas, columns; none
// required. Errors: as above.
[[nodiscard]] Result<void> check_export_template(const nlohmann::json& object);

}  // namespace export_worker::model
