#include "daemon/model/product.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/limits.hpp"
#include "base/text.hpp"

namespace export_worker::model {
namespace {

using nlohmann::json;

tl::unexpected<Error> refuse(std::string what) {
    return fail(ErrorCode::kInvalidArgument, std::move(what));
}

std::size_t depth_of(const json& value) {
    if (!value.is_structured()) return 0;
    std::size_t deepest = 0;
    for (const json& child : value) deepest = std::max(deepest, depth_of(child));
    return deepest + 1;
}

void collect_paths(const json& object, const std::string& prefix, std::vector<std::string>& out) {
    for (const auto& item : object.items()) {
        const std::string path = prefix.empty() ? item.key() : prefix + "." + item.key();
        if (item.value().is_object() && !item.value().empty()) {
            collect_paths(item.value(), path, out);
        } else {
            out.push_back(path);
        }
    }
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
    const json object = json::parse(line.begin(), line.end(), nullptr, false);
    if (object.is_discarded()) return refuse("expected one JSON object in UTF-8");
    if (!object.is_object()) return refuse("expected a JSON object");
    if (depth_of(object) > limits::kProductDepthMax) {
        return refuse("expected nesting of at most " + std::to_string(limits::kProductDepthMax));
    }
    Product product;
    EW_TRY(product.key, key_of(object, "key"));
    EW_TRY(product.product_type, product_type_of(object));
    if (const auto published = object.find("isPublished"); published != object.end()) {
        if (!published->is_boolean()) return refuse("isPublished: expected true or false");
        product.is_published = published->get<bool>();
    }
    EW_CHECK(check_properties(object, "properties"));
    EW_CHECK(check_variants(object));
    if (paths != nullptr) {
        collect_paths(object.value("properties", json::object()), "", paths->product);
        for (const json& variant : object.value("variants", json::array())) {
            collect_paths(variant.value("properties", json::object()), "", paths->variant);
        }
    }
    product.body = object.dump();
    return product;
}

}  // namespace export_worker::model
