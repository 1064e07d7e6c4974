#include "daemon/model/product.hpp"

#include <algorithm>
#include <iterator>

#include "base/clock.hpp"
#include "base/json.hpp"
#include "base/json_depth.hpp"
#include "base/shared_limits.hpp"
#include "base/text.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::model {
namespace {

using nlohmann::json;

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

// Refuses paths that no column can name: every path repeats the names of the objects around it, and
// a long name around many others would take thousands of times the bytes of the line.
Result<void> collect_paths(const json& object, const std::string& prefix,
                           std::vector<std::string>& out) {
    for (const auto& item : object.items()) {
        const std::string path = prefix.empty() ? item.key() : prefix + "." + item.key();
        if (path.size() > limits::kProductKeyBytesMax) {
            return refuse("properties: expected names of at most " +
                          std::to_string(limits::kProductKeyBytesMax) +
                          " bytes, joined with dots, found " + std::to_string(path.size()));
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

// "shirt", or the reference object other tools export: {"key": "shirt", ...}.
Result<std::string> product_type_of(const json& object) {
    const auto found = object.find("productType");
    if (found == object.end()) return refuse("productType: missing");
    if (found->is_string() && !found->get_ref<const std::string&>().empty())
        return found->get<std::string>();
    if (found->is_object() && found->contains("key") && (*found)["key"].is_string()) {
        return (*found)["key"].get<std::string>();
    }
    return refuse("productType: expected text or an object with a key");
}

Result<std::string> key_of(const json& object, const std::string& field) {
    const auto found = object.find("key");
    if (found == object.end()) return refuse(field + ": missing");
    if (!found->is_string()) return refuse(field + ": expected text");
    const auto& text = found->get_ref<const std::string&>();
    if (text.empty() || text.size() > limits::kProductKeyBytesMax) {
        return refuse(field + ": expected 1 to " + std::to_string(limits::kProductKeyBytesMax) +
                      " bytes, found " + std::to_string(text.size()));
    }
    if (has_control_characters(text)) return refuse(field + ": expected no control characters");
    return text;
}

Result<void> check_properties(const json& object, const std::string& field) {
    const auto found = object.find("properties");
    if (found != object.end() && !found->is_object()) return refuse(field + ": expected an object");
    return {};
}

Result<void> check_labels(const json& object) {
    const auto found = object.find("labels");
    if (found == object.end()) return {};
    const bool texts = found->is_array() && std::ranges::all_of(*found, [](const json& label) {
                           return label.is_string();
                       });
    if (!texts || found->size() > limits::kProductLabelsMax) {
        return refuse("labels: expected a list of at most " +
                      std::to_string(limits::kProductLabelsMax) + " texts");
    }
    return {};
}

// As given, else what isPublished says.
Result<std::string> publish_status_of(const json& object, bool is_published) {
    const auto found = object.find("publish_status");
    if (found == object.end()) return std::string(is_published ? "live" : "draft");
    if (*found == "draft" || *found == "live" || *found == "changed")
        return found->get<std::string>();
    return refuse("publish_status: expected draft, live or changed");
}

Result<std::int64_t> version_of(const json& object) {
    const auto found = object.find("version");
    if (found == object.end()) return 0;
    if (!found->is_number_integer() || *found < 1 || *found > (std::int64_t{1} << 53))
        return refuse("version: expected a whole number of at least 1");
    return found->get<std::int64_t>();
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

Result<std::int64_t> time_of(const json& object, const char* name, std::int64_t absent) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null()) return absent;
    const auto seconds = found->is_string()
                             ? parse_iso8601_seconds(found->get<std::string>())
                             : Result<std::int64_t>(fail(ErrorCode::kInvalidArgument,
                                                         "expected YYYY-MM-DDThh:mm:ssZ"));
    if (!seconds) return refuse(std::string(name) + ": " + seconds.error().message);
    return *seconds * 1'000'000;
}

Result<void> price_text(const json& object, const char* name, std::string& target, bool required) {
    const auto found = object.find(name);
    if (found == object.end() || found->is_null())
        return required ? Result<void>(refuse(std::string(name) + ": missing")) : Result<void>();
    if (!found->is_string() ||
        found->get_ref<const std::string&>().size() > limits::kProductKeyBytesMax)
        return refuse(std::string(name) + ": expected text of at most " +
                      std::to_string(limits::kProductKeyBytesMax) + " bytes");
    target = found->get<std::string>();
    return {};
}

Result<void> check_variants(const json& object) {
    const auto found = object.find("variants");
    if (found == object.end()) return {};
    if (!found->is_array()) return refuse("variants: expected an array");
    if (found->size() > limits::kProductVariantsMax) {
        return refuse("variants: expected at most " + std::to_string(limits::kProductVariantsMax));
    }
    std::vector<std::string> keys;
    for (const json& variant : *found) {
        if (!variant.is_object()) return refuse("variants: expected objects");
        EW_TRY(std::string key, key_of(variant, "variants.key"));
        EW_CHECK(check_properties(variant, "variants.properties"));
        keys.push_back(std::move(key));
    }
    std::ranges::sort(keys);
    if (std::ranges::adjacent_find(keys) != keys.end())
        return refuse("variants.key: the same key twice");
    return {};
}

}  // namespace

Result<Product> parse_product(std::string_view line, PropertyPaths* paths) {
    if (line.size() > limits::kProductLineBytesMax) {
        return refuse("expected at most " + std::to_string(limits::kProductLineBytesMax) +
                      " bytes, found " + std::to_string(line.size()));
    }
    const json object = parse_json(line);
    if (object.is_discarded()) return refuse("expected one JSON object in UTF-8");
    if (!object.is_object()) return refuse("expected a JSON object");
    if (is_deeper(object, limits::kProductDepthMax)) {
        return refuse("expected nesting of at most " + std::to_string(limits::kProductDepthMax));
    }
    Product product;
    EW_TRY(product.key, key_of(object, "key"));
    EW_TRY(product.product_type, product_type_of(object));
    if (const auto published = object.find("isPublished"); published != object.end()) {
        if (!published->is_boolean()) return refuse("isPublished: expected true or false");
        product.is_published = published->get<bool>();
    }
    EW_TRY(product.publish_status, publish_status_of(object, product.is_published));
    EW_TRY(product.version, version_of(object));
    EW_CHECK(check_labels(object));
    EW_CHECK(check_properties(object, "properties"));
    EW_CHECK(check_variants(object));
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
        return refuse("expected at most " + std::to_string(limits::kPriceLineBytesMax) +
                      " bytes, found " + std::to_string(line.size()));
    const json object = parse_json(line);
    if (!object.is_object()) return refuse("expected one JSON object in UTF-8");
    Price price;
    price.price_type = "map";
    price.currency = "USD";
    EW_CHECK(price_text(object, "product_key", price.product_key, true));
    EW_CHECK(price_text(object, "brand_key", price.brand_key, true));
    EW_CHECK(price_text(object, "variant_key", price.variant_key, false));
    EW_CHECK(price_text(object, "price_type", price.price_type, false));
    EW_CHECK(price_text(object, "currency", price.currency, false));
    if (std::ranges::find(kPriceTypes, price.price_type) == kPriceTypes.end())
        return refuse("price_type: expected map, map_stepdown, sale, markdown or msrp, found '" +
                      printable(price.price_type) + "'");
    if (!is_currency(price.currency))
        return refuse("currency: expected three letters such as EUR, found '" +
                      printable(price.currency) + "'");
    NumberText number;
    json::sax_parse(line.begin(), line.end(), &number);
    if (!is_amount(number.amount))
        return refuse("amount: expected a decimal number of at least 0 such as 12.50, found '" +
                      printable(number.amount) + "'");
    price.amount = std::move(number.amount);
    EW_TRY(price.effective_from_us, time_of(object, "effective_from", 0));
    EW_TRY(price.effective_to_us, time_of(object, "effective_to", Price::kForever));
    return price;
}

}  // namespace export_worker::model
