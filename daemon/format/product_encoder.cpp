#include "daemon/format/product_encoder.hpp"

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/text.hpp"
#include "daemon/format/csv.hpp"

namespace export_worker::format {
namespace {

using model::ExportColumn;
using model::Product;
using nlohmann::json;

constexpr std::array<std::string_view, 4> kSystemColumns{"key", "productType", "isPublished",
                                                         "variant_key"};
// A property that has the name of a system column is reached, and by default headed, with this in
// front.
constexpr std::string_view kPropertyPrefix = "properties.";

bool is_system_column(std::string_view name) {
    return std::ranges::find(kSystemColumns, name) != kSystemColumns.end();
}

std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

// nullptr when the path leads nowhere. A key may itself hold dots, so the longest key wins at each
// step.
const json* at_path(const json& object, std::string_view path) {
    if (!object.is_object()) return nullptr;
    if (const auto found = object.find(path); found != object.end()) return &*found;
    for (std::size_t dot = path.rfind('.'); dot != std::string_view::npos && dot > 0;
         dot = path.rfind('.', dot - 1)) {
        const auto found = object.find(path.substr(0, dot));
        if (found == object.end()) continue;
        if (const json* deeper = at_path(*found, path.substr(dot + 1))) return deeper;
    }
    return nullptr;
}

void append_scalar(std::string& out, const json& value) {
    if (value.is_string()) {
        out += value.get_ref<const std::string&>();
    } else if (!value.is_null()) {
        out += dump(value);
    }
}

std::string cell_text(const json* value) {
    std::string out;
    if (value == nullptr) return out;
    if (value->is_array() &&
        std::ranges::none_of(*value, [](const json& item) { return item.is_structured(); })) {
        for (const json& item : *value) {
            if (&item != &value->front()) out += '|';
            append_scalar(out, item);
        }
        return out;
    }
    append_scalar(out, *value);
    return out;
}

// One row: a product, and one of its variants or none.
class Row {
public:
    Row(const Product& product, const json& body, const json* variant)
        : product_(product), body_(body), variant_(variant) {}

    // The value of a column as JSON; `scratch` holds it when it is not part of the product's own
    // body.
    [[nodiscard]] const json* value(std::string_view column, json& scratch) const {
        if (column == "key") return &(scratch = product_.key);
        if (column == "productType") return &(scratch = product_.product_type);
        if (column == "isPublished") return &(scratch = is_published());
        if (column == "variant_key") return variant_ == nullptr ? nullptr : &variant_->at("key");
        if (column.starts_with(kPropertyPrefix)) column.remove_prefix(kPropertyPrefix.size());
        if (variant_ != nullptr) {
            if (const json* own = property(*variant_, column)) return own;
        }
        return property(body_, column);
    }

private:
    [[nodiscard]] bool is_published() const {
        if (variant_ != nullptr) {
            if (const auto own = variant_->find("isPublished");
                own != variant_->end() && own->is_boolean()) {
                return own->get<bool>();
            }
        }
        return product_.is_published;
    }
    static const json* property(const json& owner, std::string_view path) {
        const auto properties = owner.find("properties");
        return properties == owner.end() ? nullptr : at_path(*properties, path);
    }

    const Product& product_;
    const json& body_;
    const json* variant_;
};

Result<json> parse_body(const Product& product) {
    json body = json::parse(product.body, nullptr, false);
    if (body.is_discarded()) {
        return fail(ErrorCode::kDataLoss,
                    "product " + printable(product.key) + ": the stored text is not JSON");
    }
    return body;
}

class CsvEncoder final : public ProductEncoder {
public:
    explicit CsvEncoder(std::vector<ExportColumn> columns)
        : columns_(std::move(columns)), cells_(columns_.size()) {}

    void append_header(std::string& out) override {
        std::vector<std::string> headers;
        for (const ExportColumn& column : columns_) headers.push_back(column.header);
        append_csv_row(out, headers);
    }

    Result<std::size_t> append(const Product& product, std::string& out) override {
        EW_TRY(const json body, parse_body(product));
        const auto variants = body.find("variants");
        if (variants == body.end() || variants->empty()) {
            append_row(Row(product, body, nullptr), out);
            return 1;
        }
        for (const json& variant : *variants) append_row(Row(product, body, &variant), out);
        return variants->size();
    }

private:
    void append_row(const Row& row, std::string& out) {
        json scratch;
        for (std::size_t index = 0; index < columns_.size(); ++index) {
            cells_[index] = cell_text(row.value(columns_[index].property, scratch));
        }
        append_csv_row(out, cells_);
    }

    std::vector<ExportColumn> columns_;
    std::vector<std::string> cells_;
};

class JsonlEncoder final : public ProductEncoder {
public:
    explicit JsonlEncoder(std::vector<ExportColumn> columns) : columns_(std::move(columns)) {}

    void append_header(std::string&) override {}

    Result<std::size_t> append(const Product& product, std::string& out) override {
        if (columns_.empty()) {
            out += product.body;
            out += '\n';
            return 1;
        }
        EW_TRY(const json body, parse_body(product));
        const Row row(product, body, nullptr);
        nlohmann::ordered_json line = nlohmann::ordered_json::object();
        json scratch;
        for (const ExportColumn& column : columns_) {
            const json* value = row.value(column.property, scratch);
            line[column.header] =
                value == nullptr ? nlohmann::ordered_json() : nlohmann::ordered_json(*value);
        }
        out += line.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
        out += '\n';
        return 1;
    }

private:
    std::vector<ExportColumn> columns_;
};

}  // namespace

Result<std::vector<ExportColumn>> resolve_columns(const std::vector<ExportColumn>& asked,
                                                  const std::vector<std::string>& property_paths) {
    if (asked.empty()) {
        std::vector<ExportColumn> all;
        for (const std::string_view name : kSystemColumns)
            all.push_back({std::string(name), std::string(name)});
        for (const std::string& path : property_paths) {
            const std::string name =
                is_system_column(path) ? std::string(kPropertyPrefix) + path : path;
            all.push_back({name, name});
        }
        return all;
    }
    std::string unknown;
    for (const ExportColumn& column : asked) {
        std::string_view path = column.property;
        if (is_system_column(path)) continue;
        if (path.starts_with(kPropertyPrefix)) path.remove_prefix(kPropertyPrefix.size());
        // A path to an object is a column too: "dimensions" when "dimensions.width" is known.
        const auto known = [&](const std::string& each) {
            return each == path || (each.size() > path.size() && each.starts_with(path) &&
                                    each[path.size()] == '.');
        };
        if (std::ranges::any_of(property_paths, known)) continue;
        unknown += (unknown.empty() ? "" : ", ") + printable(column.property);
    }
    if (!unknown.empty())
        return fail(ErrorCode::kInvalidArgument, "columns: no product has these: " + unknown);
    return asked;
}

std::unique_ptr<ProductEncoder> make_encoder(model::ExportFormat format,
                                             std::vector<ExportColumn> columns) {
    if (format == model::ExportFormat::kCsv)
        return std::make_unique<CsvEncoder>(std::move(columns));
    return std::make_unique<JsonlEncoder>(std::move(columns));
}

}  // namespace export_worker::format
