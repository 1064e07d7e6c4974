#include "daemon/model/export_spec.hpp"

#include <algorithm>
#include <array>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/json_fields.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::model {
namespace {

using nlohmann::json;

constexpr std::array<std::string_view, 3> kFormats{"csv", "jsonl", "xlsx"};
constexpr std::array<std::string_view, 4> kProfiles{"rfc4180", "excel", "excel-eu", "tsv"};
constexpr std::array<std::string_view, 3> kCompressions{"none", "gzip", "zstd"};
constexpr std::array<std::string_view, 3> kVariantModes{"row_per_variant", "parent_child",
                                                        "nested"};
constexpr std::array<std::string_view, 3> kFormulaPolicies{"off", "guard", "reject"};
constexpr std::array<std::string_view, 3> kPublishStatuses{"draft", "live", "changed"};
constexpr std::array<std::string_view, 6> kCellFormats{"auto", "text",   "number",
                                                       "date", "yes_no", "json"};

constexpr auto kNullRefused = JsonFields::Null::kRefused;

constexpr TextBounds kKeyBytes{1, limits::kProductKeyBytesMax};

// One text, or a list of them.
Result<std::vector<std::string>> one_or_more(JsonFields& fields, const char* name) {
    const json* const value = fields.find(name);
    if (value == nullptr) return std::vector<std::string>();
    if (value->is_array())
        return texts_from(*value, fields.full_name(name), {1, limits::kExportFilterTermsMax},
                          kKeyBytes);
    EW_TRY(std::string text, text_from(*value, fields.full_name(name), kKeyBytes));
    return std::vector<std::string>{std::move(text)};
}

// "number", "number:2", "date", ...
Result<void> read_cell_format(const std::string& text, ExportColumn& column) {
    std::string name = text;
    if (name.size() == 8 && name.starts_with("number:") && name[7] >= '0' && name[7] <= '9') {
        column.decimals = name[7] - '0';
        name.resize(6);
    }
    const auto found = std::ranges::find(kCellFormats, name);
    if (found == kCellFormats.end()) {
        return invalid_argument("columns.format: expected " + one_of(kCellFormats) +
                                " (number:2 for two decimals), found '" + printable(text) + "'");
    }
    column.format = static_cast<CellFormat>(found - kCellFormats.begin());
    return {};
}

Result<ExportColumn> read_column(const json& column) {
    ExportColumn out;
    if (column.is_string()) {
        EW_TRY(out.property, text_from(column, "columns", kKeyBytes));
        out.header = out.property;
        return out;
    }
    if (!column.is_object())
        return unexpected_value("columns", "text or {property, header, format}", column);
    JsonFields fields(column, "columns.", kNullRefused);
    EW_TRY(out.property, fields.text("property", kKeyBytes));
    EW_TRY(out.header, fields.text_or("header", out.property, kKeyBytes));
    EW_TRY(const std::optional<std::string> format, fields.optional_text("format"));
    EW_CHECK(fields.refuse_unknown());
    if (format) EW_CHECK(read_cell_format(*format, out));
    return out;
}

Result<std::vector<ExportColumn>> read_columns(JsonFields& fields) {
    std::vector<ExportColumn> out;
    EW_TRY(const json* const columns, fields.array("columns", {1, limits::kExportColumnsMax}));
    if (columns == nullptr) return out;
    for (const json& each : *columns) {
        EW_TRY(ExportColumn column, read_column(each));
        out.push_back(std::move(column));
    }
    return out;
}

Result<void> read_properties(JsonFields& fields, ExportFilter& filter) {
    EW_TRY(const json* const properties, fields.object("properties"));
    if (properties == nullptr) return {};
    if (properties->empty() || properties->size() > limits::kExportFilterTermsMax) {
        return invalid_argument("filter.properties: expected an object of 1 to " +
                                std::to_string(limits::kExportFilterTermsMax) +
                                " properties, found " + std::to_string(properties->size()));
    }
    for (const auto& item : properties->items()) {
        const json& value = item.value();
        if (value.is_structured() || value.is_null())
            return unexpected_value("filter.properties." + printable(item.key()),
                                    "text, a number or true or false", value);
        filter.properties.push_back(
            {item.key(), value.is_string() ? value.get<std::string>() : dump_json(value)});
    }
    return {};
}

Result<ExportFilter> read_filter(JsonFields& spec) {
    ExportFilter out;
    EW_TRY(const json* const value, spec.object("filter"));
    if (value == nullptr) return out;
    if (value->empty())
        return invalid_argument("filter: expected an object with terms, found none");
    JsonFields fields(*value, "filter.", kNullRefused);
    EW_TRY(out.product_types, one_or_more(fields, "product_type"));
    EW_TRY(out.publish_statuses, one_or_more(fields, "publish_status"));
    for (const std::string& status : out.publish_statuses)
        EW_CHECK(word_from(status, fields.full_name("publish_status"), kPublishStatuses));
    EW_TRY(out.labels, one_or_more(fields, "labels"));
    EW_TRY(out.updated_since_us, fields.optional_time_us("updated_since"));
    EW_CHECK(read_properties(fields, out));
    EW_CHECK(fields.refuse_unknown());
    return out;
}

Result<ExportSpec> read_fields(JsonFields& fields) {
    ExportSpec out;
    EW_TRY(out.format, fields.word_or("format", kFormats, out.format));
    EW_TRY(out.profile, fields.word_or("profile", kProfiles, out.profile));
    EW_TRY(out.compression, fields.word_or("compression", kCompressions, out.compression));
    EW_TRY(out.variants, fields.word_or("variants", kVariantModes, out.variants));
    EW_TRY(out.formulas, fields.word_or("formulas", kFormulaPolicies, out.formulas));
    EW_TRY(out.product_keys, fields.texts("product_keys", {1, limits::kExportKeysMax}, kKeyBytes));
    EW_TRY(out.filter, read_filter(fields));
    EW_TRY(out.columns, read_columns(fields));
    EW_TRY(out.filename, fields.text_or("filename", "", {1, limits::kFileNameBytesMax, false}));
    EW_CHECK(fields.refuse_unknown(
        "template, priority, start_at, deadline_s, max_attempts, idempotency_key"));
    return out;
}

// What the fields mean together.
Result<void> check_together(const json& object, ExportSpec& spec) {
    const bool csv = spec.format == ExportFormat::kCsv;
    if (!csv && object.contains("profile"))
        return invalid_argument("profile: only for format csv, found format " +
                                std::string(to_string(spec.format)));
    if (spec.format == ExportFormat::kXlsx && spec.compression != Compression::kNone)
        return invalid_argument(
            "compression: expected none for format xlsx, which is compressed, "
            "found " +
            std::string(to_string(spec.compression)));
    if (!spec.product_keys.empty() && !spec.filter.empty())
        return invalid_argument("filter: expected either product_keys or filter, found both");
    if (!object.contains("variants") && spec.format == ExportFormat::kJsonl && spec.columns.empty())
        spec.variants = VariantMode::kNested;
    if (spec.variants == VariantMode::kNested && spec.format != ExportFormat::kJsonl)
        return invalid_argument("variants: expected row_per_variant or parent_child for format " +
                                std::string(to_string(spec.format)) + ", found nested");
    if (spec.variants == VariantMode::kNested && !spec.columns.empty())
        return invalid_argument(
            "variants: nested writes whole products; leave columns out, or expect "
            "row_per_variant or parent_child");
    if (!object.contains("formulas") &&
        (spec.profile == CsvProfile::kExcel || spec.profile == CsvProfile::kExcelEu))
        spec.formulas = FormulaPolicy::kGuard;
    if (!csv && spec.formulas != FormulaPolicy::kOff)
        return invalid_argument("formulas: only for format csv; " +
                                std::string(to_string(spec.format)) + " keeps text as text");
    return {};
}

json to_json(const ExportColumn& column) {
    json out = {{"property", column.property}, {"header", column.header}};
    if (column.format != CellFormat::kAuto) {
        std::string format(kCellFormats[static_cast<std::size_t>(column.format)]);
        if (column.decimals >= 0) format += ":" + std::to_string(column.decimals);
        out["format"] = format;
    }
    return out;
}

json to_json(const ExportFilter& filter) {
    json out = json::object();
    if (!filter.product_types.empty()) out["product_type"] = filter.product_types;
    if (!filter.publish_statuses.empty()) out["publish_status"] = filter.publish_statuses;
    if (!filter.labels.empty()) out["labels"] = filter.labels;
    if (filter.updated_since_us) out["updated_since"] = to_iso8601(*filter.updated_since_us);
    for (const auto& term : filter.properties) out["properties"][term.path] = term.value;
    return out;
}

}  // namespace

std::string_view to_string(ExportFormat format) {
    return kFormats[static_cast<std::size_t>(format)];
}
std::string_view to_string(CsvProfile profile) {
    return kProfiles[static_cast<std::size_t>(profile)];
}
std::string_view to_string(Compression compression) {
    return kCompressions[static_cast<std::size_t>(compression)];
}
std::string_view to_string(VariantMode mode) {
    return kVariantModes[static_cast<std::size_t>(mode)];
}
std::string_view to_string(FormulaPolicy policy) {
    return kFormulaPolicies[static_cast<std::size_t>(policy)];
}

std::string file_extension(const ExportSpec& spec) {
    const bool tsv = spec.format == ExportFormat::kCsv && spec.profile == CsvProfile::kTsv;
    std::string out(tsv ? "tsv" : to_string(spec.format));
    if (spec.compression == Compression::kGzip) out += ".gz";
    if (spec.compression == Compression::kZstd) out += ".zst";
    return out;
}

std::string_view media_type(const ExportSpec& spec) {
    if (spec.compression == Compression::kGzip) return "application/gzip";
    if (spec.compression == Compression::kZstd) return "application/zstd";
    switch (spec.format) {
        case ExportFormat::kJsonl: return "application/x-ndjson";
        case ExportFormat::kXlsx:
            return "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";
        case ExportFormat::kCsv: break;
    }
    return spec.profile == CsvProfile::kTsv ? "text/tab-separated-values; charset=utf-8"
                                            : "text/csv; charset=utf-8";
}

Result<ExportSpec> parse_export_spec(const json& object) {
    EW_CHECK(check_object(object, "body"));
    JsonFields fields(object, "", kNullRefused);
    EW_TRY(ExportSpec spec, read_fields(fields));
    EW_CHECK(check_together(object, spec));
    return spec;
}

json to_json(const ExportSpec& spec) {
    json out = {{"format", to_string(spec.format)},
                {"compression", to_string(spec.compression)},
                {"variants", to_string(spec.variants)}};
    if (spec.format == ExportFormat::kCsv) {
        out["profile"] = to_string(spec.profile);
        out["formulas"] = to_string(spec.formulas);
    }
    if (!spec.product_keys.empty()) out["product_keys"] = spec.product_keys;
    if (!spec.filter.empty()) out["filter"] = to_json(spec.filter);
    if (!spec.filename.empty()) out["filename"] = spec.filename;
    for (const ExportColumn& column : spec.columns) out["columns"].push_back(to_json(column));
    return out;
}

Result<void> check_export_template(const json& object) {
    if (!object.is_object() || object.empty())
        return invalid_argument("template: expected an object with at least one field, found " +
                                (object.is_object() ? "none" : kind_of(object)));
    for (const auto& item : object.items()) {
        constexpr std::array<std::string_view, 6> kFields{"format",   "profile",  "compression",
                                                          "variants", "formulas", "columns"};
        if (std::ranges::find(kFields, item.key()) == kFields.end())
            return invalid_argument("template: unknown field '" + printable(item.key()) +
                                    "'; expected " + one_of(kFields));
    }
    EW_CHECK(parse_export_spec(object));
    return {};
}

}  // namespace export_worker::model
