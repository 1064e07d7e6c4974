#include "daemon/model/export_spec.hpp"

#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace export_worker::model {
namespace {

using nlohmann::json;

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

Result<std::string> text_of(const json& value, const std::string& field, std::size_t bytes_max) {
    if (!value.is_string()) return refuse(field + ": expected text");
    auto text = value.get<std::string>();
    if (text.empty() || text.size() > bytes_max) {
        return refuse(field + ": expected 1 to " + std::to_string(bytes_max) + " bytes");
    }
    return text;
}

Result<void> read_format(const json& value, ExportSpec& spec) {
    if (value == "csv") {
        spec.format = ExportFormat::kCsv;
    } else if (value == "jsonl") {
        spec.format = ExportFormat::kJsonl;
    } else {
        return refuse("format: expected csv or jsonl, found " +
                      printable(value.dump(-1, ' ', false, json::error_handler_t::replace)));
    }
    return {};
}

Result<void> read_keys(const json& value, ExportSpec& spec) {
    if (!value.is_array() || value.empty() || value.size() > limits::kExportKeysMax) {
        return refuse("product_keys: expected an array of 1 to " +
                      std::to_string(limits::kExportKeysMax) + " keys");
    }
    for (const json& key : value) {
        EW_TRY(std::string text, text_of(key, "product_keys", limits::kProductKeyBytesMax));
        spec.product_keys.push_back(std::move(text));
    }
    return {};
}

Result<void> read_columns(const json& value, ExportSpec& spec) {
    if (!value.is_array() || value.empty() || value.size() > limits::kExportColumnsMax) {
        return refuse("columns: expected an array of 1 to " +
                      std::to_string(limits::kExportColumnsMax) + " columns");
    }
    for (const json& column : value) {
        ExportColumn out;
        if (column.is_string()) {
            EW_TRY(out.property, text_of(column, "columns", limits::kProductKeyBytesMax));
            out.header = out.property;
        } else if (column.is_object()) {
            for (const auto& item : column.items()) {
                if (item.key() != "property" && item.key() != "header") {
                    return refuse("columns: unknown field '" + printable(item.key()) +
                                  "'; expected property and header");
                }
            }
            EW_TRY(out.property, text_of(column.value("property", json()), "columns.property",
                                         limits::kProductKeyBytesMax));
            out.header = out.property;
            if (column.contains("header")) {
                EW_TRY(out.header,
                       text_of(column["header"], "columns.header", limits::kProductKeyBytesMax));
            }
        } else {
            return refuse("columns: expected text or {property, header}");
        }
        spec.columns.push_back(std::move(out));
    }
    return {};
}

}  // namespace

std::string_view to_string(ExportFormat format) {
    return format == ExportFormat::kCsv ? "csv" : "jsonl";
}

std::string_view media_type(ExportFormat format) {
    return format == ExportFormat::kCsv ? "text/csv; charset=utf-8" : "application/x-ndjson";
}

Result<ExportSpec> parse_export_spec(const json& object) {
    if (!object.is_object()) return refuse("body: expected an object");
    ExportSpec spec;
    for (const auto& item : object.items()) {
        if (item.key() == "format") {
            EW_CHECK(read_format(item.value(), spec));
        } else if (item.key() == "product_keys") {
            EW_CHECK(read_keys(item.value(), spec));
        } else if (item.key() == "columns") {
            EW_CHECK(read_columns(item.value(), spec));
        } else if (item.key() == "filename") {
            EW_TRY(spec.filename, text_of(item.value(), "filename", limits::kFileNameBytesMax));
            if (has_control_characters(spec.filename))
                return refuse("filename: expected no control characters");
        } else {
            return refuse(printable(item.key()) +
                          ": unknown field; expected format, product_keys, columns, filename");
        }
    }
    return spec;
}

json to_json(const ExportSpec& spec) {
    json out = {{"format", to_string(spec.format)}};
    if (!spec.product_keys.empty()) out["product_keys"] = spec.product_keys;
    if (!spec.filename.empty()) out["filename"] = spec.filename;
    for (const ExportColumn& column : spec.columns) {
        out["columns"].push_back({{"property", column.property}, {"header", column.header}});
    }
    return out;
}

}  // namespace export_worker::model
