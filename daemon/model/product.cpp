#include "daemon/model/product.hpp"

#include <algorithm>
#include <array>
#include <iterator>

#include "base/json.hpp"
#include "base/json_depth.hpp"
#include "base/json_fields.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::model {
namespace {

using nlohmann::json;

// Not every database can hold U+0000, and a text without it is another one.
Result<void> check_no_null(std::string_view text, std::string_view name) {
    if (text.find('\0') == std::string_view::npos) return {};
    return invalid_argument(std::string(name) + ": expected no U+0000, found '" + printable(text) +
                            "'");
}

// Refuses paths that no column can name: every path repeats the names of the objects around it, and
// a long name around many others would take thousands of times the bytes of the line.
Result<void> collect_paths(const json& object, const std::string& prefix,
                           std::vector<std::string>& out) {
    for (const auto& item : object.items()) {
        const std::string path = prefix.empty() ? item.key() : prefix + "." + item.key();
        EW_CHECK(check_no_null(path, "properties"));
        if (path.size() > limits::kProductKeyBytesMax) {
            return invalid_argument("properties: expected names of at most " +
                                    std::to_string(limits::kProductKeyBytesMax) +
                                    " bytes, joined with dots, found " +
                                    std::to_string(path.size()));
        }
        if (item.value().is_object() && !item.value().empty()) {
            EW_CHECK(collect_paths(item.value(), path, out));
        } else {
            out.push_back(path);
        }
    }
    return {};
}

Result<PropertyPaths> paths_of(const json& object) {
    PropertyPaths out;
    EW_CHECK(collect_paths(object.value("properties", json::object()), "", out.product));
    for (const json& variant : object.value("variants", json::array()))
        EW_CHECK(collect_paths(variant.value("properties", json::object()), "", out.variant));
    return out;
}

constexpr auto kNullRefused = JsonFields::Null::kRefused;
constexpr TextBounds kKeyBounds{1, limits::kProductKeyBytesMax, false};
constexpr TextBounds kPriceText{0, limits::kProductKeyBytesMax};
constexpr std::array<std::string_view, 3> kPublishStatuses{"draft", "live", "changed"};

// "shirt", or the reference object other tools export: {"key": "shirt", ...}.
Result<std::string> product_type_of(JsonFields& fields) {
    const json* const value = fields.find("productType");
    if (value == nullptr) return invalid_argument("productType: missing");
    if (auto key = text_in(*value, "key")) return std::move(*key);
    if (!value->is_string())
        return unexpected_value("productType", "text or an object with a key", *value);
    return text_from(*value, "productType", {1, SIZE_MAX});
}

// As given, else what isPublished says.
Result<std::string> publish_status_of(JsonFields& fields, bool is_published) {
    EW_TRY(const std::size_t index,
           fields.word_or("publish_status", kPublishStatuses, std::size_t{is_published ? 1U : 0U}));
    return std::string(kPublishStatuses[index]);
}

// The text of a number as it was written: "12.50" stays "12.50".
struct NumberText : json::json_sax_t {
    std::string amount;
    bool is_amount = false;
    int depth = 0;

    bool keep(const string_t& text) {
        if (is_amount && depth == 1) amount = text;
        return true;
    }
    bool null() override { return true; }
    bool boolean(bool) override { return true; }
    bool number_integer(number_integer_t value) override { return keep(std::to_string(value)); }
    bool number_unsigned(number_unsigned_t value) override { return keep(std::to_string(value)); }
    bool number_float(number_float_t, const string_t& text) override { return keep(text); }
    bool string(string_t& text) override { return keep(text); }
    bool binary(binary_t&) override { return true; }
    bool start_object(std::size_t) override { return ++depth > 0; }
    bool key(string_t& name) override {
        if (depth == 1) is_amount = name == "amount";
        return true;
    }
    bool end_object() override { return --depth >= 0; }
    bool start_array(std::size_t) override { return ++depth > 0; }
    bool end_array() override { return --depth >= 0; }
    bool parse_error(std::size_t, const std::string&, const json::exception&) override {
        return false;
    }
};

// No sign, at most 20 digits before the point and 10 behind it.
bool is_amount(std::string_view text) {
    if (!is_decimal(text) || text.front() == '-' || text.front() == '+') return false;
    const std::size_t point = std::min(text.find('.'), text.size());
    return point <= 20 && text.size() <= point + 1 + 10;
}

Result<void> check_variants(JsonFields& product) {
    EW_TRY(const json* const variants, product.array("variants", {0, limits::kProductVariantsMax}));
    if (variants == nullptr) return {};
    std::vector<std::string> keys;
    for (const json& variant : *variants) {
        EW_CHECK(check_object(variant, "variants"));
        JsonFields fields(variant, "variants.", kNullRefused);
        EW_TRY(std::string key, fields.text("key", kKeyBounds));
        EW_CHECK(fields.object("properties"));
        keys.push_back(std::move(key));
    }
    std::ranges::sort(keys);
    if (std::ranges::adjacent_find(keys) != keys.end())
        return invalid_argument("variants.key: the same key twice");
    return {};
}

Result<Product> read_product(const json& object) {
    JsonFields fields(object, "", kNullRefused);
    Product out;
    EW_TRY(out.key, fields.text("key", kKeyBounds));
    EW_TRY(out.product_type, product_type_of(fields));
    EW_CHECK(check_no_null(out.product_type, "productType"));
    EW_TRY(out.is_published, fields.boolean_or("isPublished", false));
    EW_TRY(out.publish_status, publish_status_of(fields, out.is_published));
    EW_TRY(const auto version, fields.optional_integer("version", {1, std::int64_t{1} << 53}));
    out.version = version.value_or(0);
    EW_CHECK(fields.texts("labels", {0, limits::kProductLabelsMax}));
    EW_CHECK(fields.object("properties"));
    EW_CHECK(check_variants(fields));
    return out;
}

}  // namespace

Result<Product> parse_product(std::string_view line, PropertyPaths* paths) {
    if (line.size() > limits::kProductLineBytesMax) {
        return invalid_argument("expected at most " + std::to_string(limits::kProductLineBytesMax) +
                                " bytes, found " + std::to_string(line.size()));
    }
    const json object = parse_json(line);
    if (object.is_discarded())
        return invalid_argument("expected one JSON object in UTF-8, found no JSON");
    if (!object.is_object())
        return invalid_argument("expected a JSON object, found " + kind_of(object));
    if (is_deeper(object, limits::kProductDepthMax)) {
        return invalid_argument("expected nesting of at most " +
                                std::to_string(limits::kProductDepthMax));
    }
    EW_TRY(Product product, read_product(object));
    EW_TRY(const PropertyPaths found, paths_of(object));
    if (paths != nullptr) {
        std::ranges::copy(found.product, std::back_inserter(paths->product));
        std::ranges::copy(found.variant, std::back_inserter(paths->variant));
    }
    product.body = dump_json(object);
    return product;
}

bool is_currency(std::string_view text) {
    return text.size() == 3 &&
           std::ranges::all_of(text, [](char c) { return c >= 'A' && c <= 'Z'; });
}

Result<Price> parse_price(std::string_view line) {
    if (line.size() > limits::kPriceLineBytesMax)
        return invalid_argument("expected at most " + std::to_string(limits::kPriceLineBytesMax) +
                                " bytes, found " + std::to_string(line.size()));
    const json object = parse_json(line);
    if (!object.is_object())
        return invalid_argument("expected one JSON object in UTF-8, found " + kind_of(object));
    JsonFields fields(object);
    Price price;
    EW_TRY(price.product_key, fields.text("product_key", kPriceText));
    EW_TRY(price.brand_key, fields.text("brand_key", kPriceText));
    EW_TRY(price.variant_key, fields.text_or("variant_key", "", kPriceText));
    EW_CHECK(check_no_null(price.product_key, "product_key"));
    EW_CHECK(check_no_null(price.brand_key, "brand_key"));
    EW_CHECK(check_no_null(price.variant_key, "variant_key"));
    EW_TRY(price.currency, fields.text_or("currency", "USD", kPriceText));
    EW_TRY(const std::size_t type, fields.word_or("price_type", kPriceTypes, std::size_t{0}));
    price.price_type = kPriceTypes[type];
    if (!is_currency(price.currency))
        return invalid_argument("currency: expected three letters such as EUR, found '" +
                                printable(price.currency) + "'");
    NumberText number;
    json::sax_parse(line.begin(), line.end(), &number);
    if (!is_amount(number.amount))
        return invalid_argument(
            "amount: expected a decimal number of at least 0 such as 12.50, found '" +
            printable(number.amount) + "'");
    price.amount = std::move(number.amount);
    EW_TRY(const auto from_us, fields.optional_time_us("effective_from"));
    EW_TRY(const auto to_us, fields.optional_time_us("effective_to"));
    price.effective_from_us = from_us.value_or(0);
    price.effective_to_us = to_us.value_or(Price::kForever);
    return price;
}

}  // namespace export_worker::model
