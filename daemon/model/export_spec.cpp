#include "daemon/model/export_spec.hpp"

#include <algorithm>
#include <array>

#include "base/clock.hpp"
#include "base/json.hpp"
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

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

std::string shown(const json& value) {
    return printable(dump_json(value));
}

template <std::size_t count>
std::string one_of(const std::array<std::string_view, count>& names) {
    std::string out;
    for (std::size_t index = 0; index < count; ++index) {
        if (index > 0) out += index + 1 == count ? " or " : ", ";
        out += names[index];
    }
    return out;
}

template <typename Enum, std::size_t count>
Result<void> read_choice(const json& value, const std::string& field,
                         const std::array<std::string_view, count>& names, Enum& target) {
    const auto found = value.is_string()
                           ? std::ranges::find(names, value.get_ref<const std::string&>())
                           : names.end();
    if (found == names.end())
        return refuse(field + ": expected " + one_of(names) + ", found " + shown(value));
    target = static_cast<Enum>(found - names.begin());
    return {};
}

Result<std::string> text_of(const json& value, const std::string& field, std::size_t bytes_max) {
    if (!value.is_string()) return refuse(field + ": expected text, found " + shown(value));
    auto text = value.get<std::string>();
    if (text.empty() || text.size() > bytes_max) {
        return refuse(field + ": expected 1 to " + std::to_string(bytes_max) + " bytes, found " +
                      std::to_string(text.size()));
    }
    return text;
}

// One text, or a list of them.
Result<std::vector<std::string>> texts_of(const json& value, const std::string& field,
                                          std::size_t count_max) {
    std::vector<std::string> out;
    if (!value.is_array()) {
        EW_TRY(std::string text, text_of(value, field, limits::kProductKeyBytesMax));
        out.push_back(std::move(text));
        return out;
    }
    if (value.empty() || value.size() > count_max) {
        return refuse(field + ": expected 1 to " + std::to_string(count_max) + " texts, found " +
                      std::to_string(value.size()));
    }
    for (const json& each : value) {
        EW_TRY(std::string text, text_of(each, field, limits::kProductKeyBytesMax));
        out.push_back(std::move(text));
    }
    return out;
}

// "number", "number:2", "date", ...
Result<void> read_cell_format(const json& value, ExportColumn& column) {
    if (!value.is_string()) return refuse("columns.format: expected text, found " + shown(value));
    std::string name = value.get<std::string>();
    if (name.size() == 8 && name.starts_with("number:") && name[7] >= '0' && name[7] <= '9') {
        column.decimals = name[7] - '0';
        name.resize(6);
    }
    const auto found = std::ranges::find(kCellFormats, name);
    if (found == kCellFormats.end()) {
        return refuse("columns.format: expected " + one_of(kCellFormats) +
                      " (number:2 for two decimals), found " + shown(value));
    }
    column.format = static_cast<CellFormat>(found - kCellFormats.begin());
    return {};
}

Result<void> read_column(const json& column, ExportColumn& out) {
    if (column.is_string()) {
        EW_TRY(out.property, text_of(column, "columns", limits::kProductKeyBytesMax));
        out.header = out.property;
        return {};
    }
    if (!column.is_object())
        return refuse("columns: expected text or {property, header, format}, found " +
                      shown(column));
    for (const auto& item : column.items()) {
        if (item.key() != "property" && item.key() != "header" && item.key() != "format") {
            return refuse("columns: unknown field '" + printable(item.key()) +
                          "'; expected property, header and format");
        }
    }
    EW_TRY(out.property, text_of(column.value("property", json()), "columns.property",
                                 limits::kProductKeyBytesMax));
    out.header = out.property;
    if (column.contains("header")) {
        EW_TRY(out.header,
               text_of(column["header"], "columns.header", limits::kProductKeyBytesMax));
    }
    if (column.contains("format")) EW_CHECK(read_cell_format(column["format"], out));
    return {};
}

Result<void> read_columns(const json& value, ExportSpec& spec) {
    if (!value.is_array() || value.empty() || value.size() > limits::kExportColumnsMax) {
        return refuse("columns: expected a list of 1 to " +
                      std::to_string(limits::kExportColumnsMax) + " columns");
    }
    for (const json& column : value) {
        ExportColumn out;
        EW_CHECK(read_column(column, out));
        spec.columns.push_back(std::move(out));
    }
    return {};
}

Result<void> read_properties(const json& value, ExportFilter& filter) {
    if (!value.is_object() || value.empty() || value.size() > limits::kExportFilterTermsMax) {
        return refuse("filter.properties: expected an object of 1 to " +
                      std::to_string(limits::kExportFilterTermsMax) + " properties");
    }
    for (const auto& item : value.items()) {
        if (item.value().is_structured() || item.value().is_null()) {
            return refuse("filter.properties." + printable(item.key()) +
                          ": expected text, a number or true or false");
        }
        filter.properties.push_back({item.key(), item.value().is_string()
                                                     ? item.value().get<std::string>()
                                                     : dump_json(item.value())});
    }
    return {};
}

Result<void> read_filter(const json& value, ExportFilter& filter) {
    if (!value.is_object() || value.empty()) return refuse("filter: expected an object with terms");
    for (const auto& item : value.items()) {
        const std::string field = "filter." + printable(item.key());
        if (item.key() == "product_type") {
            EW_TRY(filter.product_types,
                   texts_of(item.value(), field, limits::kExportFilterTermsMax));
        } else if (item.key() == "publish_status") {
            EW_TRY(filter.publish_statuses,
                   texts_of(item.value(), field, limits::kExportFilterTermsMax));
            for (const std::string& status : filter.publish_statuses) {
                if (std::ranges::find(kPublishStatuses, status) == kPublishStatuses.end())
                    return refuse(field + ": expected " + one_of(kPublishStatuses) + ", found '" +
                                  printable(status) + "'");
            }
        } else if (item.key() == "labels") {
            EW_TRY(filter.labels, texts_of(item.value(), field, limits::kExportFilterTermsMax));
        } else if (item.key() == "updated_since") {
            EW_TRY(const std::string text, text_of(item.value(), field, 64));
            const auto seconds = parse_iso8601_seconds(text);
            if (!seconds) return refuse(field + ": " + seconds.error().message);
            filter.updated_since_us = *seconds * 1'000'000;
        } else if (item.key() == "properties") {
            EW_CHECK(read_properties(item.value(), filter));
        } else {
            return refuse(field +
                          ": unknown field; expected product_type, publish_status, labels, "
                          "updated_since, properties");
        }
    }
    return {};
}

Result<void> read_field(const std::string& name, const json& value, ExportSpec& spec) {
    if (name == "format") return read_choice(value, name, kFormats, spec.format);
    if (name == "profile") return read_choice(value, name, kProfiles, spec.profile);
    if (name == "compression") return read_choice(value, name, kCompressions, spec.compression);
    if (name == "variants") return read_choice(value, name, kVariantModes, spec.variants);
    if (name == "formulas") return read_choice(value, name, kFormulaPolicies, spec.formulas);
    if (name == "columns") return read_columns(value, spec);
    if (name == "filter") return read_filter(value, spec.filter);
    if (name == "product_keys") {
        if (!value.is_array())
            return refuse("product_keys: expected a list of 1 to " +
                          std::to_string(limits::kExportKeysMax) + " keys");
        EW_TRY(spec.product_keys, texts_of(value, name, limits::kExportKeysMax));
        return {};
    }
    if (name == "filename") {
        EW_TRY(spec.filename, text_of(value, name, limits::kFileNameBytesMax));
        if (has_control_characters(spec.filename))
            return refuse("filename: expected no control characters");
        return {};
    }
    return refuse(printable(name) +
                  ": unknown field; expected format, profile, compression, variants, formulas, "
                  "product_keys, filter, columns, template, filename, priority, start_at, "
                  "deadline_s, max_attempts, idempotency_key");
}

// What the fields mean together.
Result<void> check_together(const json& object, ExportSpec& spec) {
    const bool csv = spec.format == ExportFormat::kCsv;
    if (!csv && object.contains("profile"))
        return refuse("profile: only for format csv, found format " +
                      std::string(to_string(spec.format)));
    if (spec.format == ExportFormat::kXlsx && spec.compression != Compression::kNone)
        return refuse("compression: an xlsx file is compressed as it is; expected none");
    if (!spec.product_keys.empty() && !spec.filter.empty())
        return refuse("filter: expected either product_keys or filter");
    if (!object.contains("variants") && spec.format == ExportFormat::kJsonl && spec.columns.empty())
        spec.variants = VariantMode::kNested;
    if (spec.variants == VariantMode::kNested && spec.format != ExportFormat::kJsonl)
        return refuse(
            "variants: nested is for format jsonl; expected row_per_variant or "
            "parent_child");
    if (spec.variants == VariantMode::kNested && !spec.columns.empty())
        return refuse(
            "variants: nested writes whole products; leave columns out, or expect "
            "row_per_variant or parent_child");
    if (!object.contains("formulas") &&
        (spec.profile == CsvProfile::kExcel || spec.profile == CsvProfile::kExcelEu))
        spec.formulas = FormulaPolicy::kGuard;
    if (!csv && spec.formulas != FormulaPolicy::kOff)
        return refuse("formulas: only for format csv; " + std::string(to_string(spec.format)) +
                      " keeps text as text");
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
    if (!object.is_object()) return refuse("body: expected an object");
    ExportSpec spec;
    for (const auto& item : object.items()) EW_CHECK(read_field(item.key(), item.value(), spec));
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
        return refuse("template: expected an object with at least one field");
    for (const auto& item : object.items()) {
        constexpr std::array<std::string_view, 6> kFields{"format",   "profile",  "compression",
                                                          "variants", "formulas", "columns"};
        if (std::ranges::find(kFields, item.key()) == kFields.end())
            return refuse("template: unknown field '" + printable(item.key()) + "'; expected " +
                          one_of(kFields));
    }
    EW_TRY(const ExportSpec spec, parse_export_spec(object));
    (void)spec;
    return {};
}

}  // namespace export_worker::model
