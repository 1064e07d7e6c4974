#include "daemon/model/product.hpp"

#include <gtest/gtest.h>

#include "base/json.hpp"
#include "base/shared_limits.hpp"
#include "daemon/model/limits.hpp"

namespace export_worker::model {
namespace {

using nlohmann::json;
using Values = std::initializer_list<json>;

const json kProduct = {{"key", "k1"}, {"productType", "shirt"}};

// The refusal of a product in which `name` has this value; empty: it is accepted.
std::string complaint(const char* name, const json& value) {
    json product = kProduct;
    product[name] = value;
    const auto parsed = parse_product(product.dump(), nullptr);
    if (parsed) return "";
    EXPECT_EQ(parsed.error().code, ErrorCode::kInvalidArgument);
    return parsed.error().message;
}

TEST(Product, ReadsWhatTheCatalogAsksFor) {
    PropertyPaths paths;
    const auto product = parse_product(
        R"({"key":"k1","productType":{"key":"shirt"},"isPublished":true,"version":3,
            "properties":{"a":1,"b":{"c":2,"d":{}}},
            "variants":[{"key":"v1","properties":{"e":1}}]})",
        &paths);
    ASSERT_TRUE(product) << product.error().message;
    EXPECT_EQ(product->key, "k1");
    EXPECT_EQ(product->product_type, "shirt");
    EXPECT_EQ(product->publish_status, "live");
    EXPECT_EQ(product->version, 3);
    EXPECT_EQ(paths.product, std::vector<std::string>({"a", "b.c", "b.d"}));
    EXPECT_EQ(paths.variant, std::vector<std::string>({"e"}));
}

TEST(Product, RefusesWrongValues) {
    for (const json& value : Values{nullptr, 5, "", std::string(513, 'k'), "a\nb", json::array()})
        EXPECT_TRUE(complaint("key", value).starts_with("key: ")) << value;
    for (const json& value : Values{nullptr, 5, "", json::object(), {{"key", 5}}})
        EXPECT_TRUE(complaint("productType", value).starts_with("productType: ")) << value;
    for (const json& value : Values{nullptr, 1, "true"})
        EXPECT_TRUE(complaint("isPublished", value).starts_with("isPublished: ")) << value;
    for (const json& value : Values{nullptr, 1, "gone", "LIVE"})
        EXPECT_TRUE(complaint("publish_status", value).starts_with("publish_status: ")) << value;
    for (const json& value : Values{nullptr, 0, -1, 1.5, "1", UINT64_MAX})
        EXPECT_TRUE(complaint("version", value).starts_with("version: ")) << value;
    for (const json& value :
         Values{nullptr, "x", json::array({1}), json(std::vector<std::string>(101, "x"))})
        EXPECT_TRUE(complaint("labels", value).starts_with("labels: ")) << value;
    for (const json& value : Values{nullptr, "x", json::array()})
        EXPECT_TRUE(complaint("properties", value).starts_with("properties: ")) << value;
    for (const json& value : Values{nullptr,
                                    "x",
                                    json::array({1}),
                                    json::array({json::object()}),
                                    {{{"key", "v"}}, {{"key", "v"}}},
                                    {{{"key", "v"}, {"properties", 1}}}})
        EXPECT_TRUE(complaint("variants", value).starts_with("variants")) << value;
}

// Not every database can hold it; in a value it is an escape, which is plain text.
TEST(Product, RefusesTheNullCharacterInNames) {
    const std::string null("a\0b", 3);
    EXPECT_EQ(complaint("key", null), "key: expected no control characters");
    EXPECT_EQ(complaint("productType", null), "productType: expected no U+0000, found 'a?b'");
    EXPECT_EQ(complaint("productType", {{"key", null}}),
              "productType: expected no U+0000, found 'a?b'");
    EXPECT_EQ(complaint("properties", {{"x", {{null, 1}}}}),
              "properties: expected no U+0000, found 'x.a?b'");
    EXPECT_EQ(complaint("variants", {{{"key", "v"}, {"properties", {{null, 1}}}}}),
              "properties: expected no U+0000, found 'a?b'");
    EXPECT_EQ(complaint("properties", {{"x", null}}), "");
    for (const char* name : {"product_key", "brand_key", "variant_key"}) {
        json price = {{"product_key", "p"}, {"brand_key", "b"}, {"amount", 1}};
        price[name] = null;
        EXPECT_EQ(parse_price(price.dump()).error().message,
                  std::string(name) + ": expected no U+0000, found 'a?b'");
    }
}

TEST(Product, TheNumberOfVariantsIsBounded) {
    json variants = json::array();
    while (variants.size() < 2'000)
        variants.push_back({{"key", "v" + std::to_string(variants.size())}});
    EXPECT_EQ(complaint("variants", variants), "");
    variants.push_back({{"key", "one more"}});
    EXPECT_EQ(complaint("variants", variants),
              "variants: expected a list of at most 2000 entries, found 2001");
}

TEST(Product, RefusesLinesThatAreNoObject) {
    for (const std::string_view line : {"", " ", "[]", "5", "null", "{", "{} {}", "\"\xff\"",
                                        "{\"key\":\"\xff\"}", "{\"key\":1,}"})
        EXPECT_EQ(parse_product(line, nullptr).error().code, ErrorCode::kInvalidArgument) << line;
    const std::string long_line(limits::kProductLineBytesMax + 1, ' ');
    EXPECT_EQ(parse_product(long_line, nullptr).error().code, ErrorCode::kInvalidArgument);
}

std::string nested(std::size_t depth) {
    return R"({"key":"k","productType":"t","properties":{"a":)" + std::string(depth, '[') +
           std::string(depth, ']') + "}}";
}

TEST(Product, DepthIsBounded) {
    EXPECT_TRUE(parse_product(nested(limits::kProductDepthMax - 2), nullptr));
    EXPECT_FALSE(parse_product(nested(limits::kProductDepthMax - 1), nullptr));
}

// As deep as a line can be: looking must not use a stack frame for each level.
TEST(Product, TheDeepestLineIsRefusedLikeAnyOther) {
    const auto refused = parse_product(nested(limits::kProductLineBytesMax / 2 - 50), nullptr);
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("nesting"), std::string::npos);
}

std::string price_complaint(const char* name, const json& value) {
    json price = {{"product_key", "k"}, {"brand_key", "b"}, {"amount", 1}};
    price[name] = value;
    const auto parsed = parse_price(price.dump());
    return parsed ? "" : parsed.error().message;
}

TEST(Price, KeepsTheAmountAsItIsWritten) {
    for (const auto& [written, kept] :
         {std::pair("12.50", "12.50"), std::pair("\"12.50\"", "12.50"), std::pair("7", "7"),
          std::pair("0", "0"), std::pair("99999999999999999999", "99999999999999999999")}) {
        const auto price = parse_price(R"({"product_key":"k","brand_key":"b","amount":)" +
                                       std::string(written) + "}");
        EXPECT_EQ(price ? price->amount : "", kept) << written;
    }
}

TEST(Price, RefusesWrongValues) {
    for (const json& value : Values{nullptr,
                                    -1,
                                    "-1",
                                    "1e5",
                                    "",
                                    "1.",
                                    std::string(21, '9'),
                                    "0.12345678901",
                                    true,
                                    json::array({1}),
                                    {{"amount", 1}}})
        EXPECT_TRUE(price_complaint("amount", value).starts_with("amount: ")) << value;
    for (const json& value : Values{nullptr, 5, std::string(513, 'x')}) {
        EXPECT_TRUE(price_complaint("product_key", value).starts_with("product_key: ")) << value;
        EXPECT_TRUE(price_complaint("brand_key", value).starts_with("brand_key: ")) << value;
    }
    EXPECT_TRUE(price_complaint("variant_key", 5).starts_with("variant_key: "));
    for (const json& value : Values{5, "", "gift", "MAP"})
        EXPECT_TRUE(price_complaint("price_type", value).starts_with("price_type: ")) << value;
    for (const json& value : Values{5, "", "eur", "EURO", "E\xc3\x9c"})
        EXPECT_TRUE(price_complaint("currency", value).starts_with("currency: ")) << value;
    for (const json& value : Values{5, "", "yesterday", "2026-13-01T00:00:00Z"})
        EXPECT_TRUE(price_complaint("effective_from", value).starts_with("effective_from: "))
            << value;
}

TEST(Price, RefusesLinesThatAreNoObject) {
    for (const std::string_view line : {"", "[]", "5", "{", "{} x", "\"\xff\""})
        EXPECT_EQ(parse_price(line).error().code, ErrorCode::kInvalidArgument) << line;
    EXPECT_FALSE(parse_price(std::string(limits::kPriceLineBytesMax + 1, ' ')));
}

// A product with this text as its properties.
std::string product_with(const std::string& properties) {
    return R"({"key":"k","productType":"t","properties":)" + properties + "}";
}

TEST(Product, CountsTheProductItselfAsALevelOfNesting) {
    const auto nested = [](std::size_t levels) {
        const std::size_t lists = levels - 2;  // Below the product and its properties.
        return product_with("{\"a\":" + std::string(lists, '[') + std::string(lists, ']') + "}");
    };
    EXPECT_TRUE(parse_product(nested(limits::kProductDepthMax), nullptr));
    EXPECT_FALSE(parse_product(nested(limits::kProductDepthMax + 1), nullptr));
}

TEST(Product, RefusesPropertyPathsThatNoColumnCanName) {
    const std::string longest = std::string(300, 'a') + "\":{\"" + std::string(211, 'b');
    PropertyPaths paths;
    ASSERT_TRUE(parse_product(product_with("{\"" + longest + "\":1}}"), &paths));
    ASSERT_EQ(paths.product.size(), 1U);
    EXPECT_EQ(paths.product[0].size(), limits::kProductKeyBytesMax);

    const auto refused = parse_product(product_with("{\"" + longest + "b\":1}}"), &paths);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().message,
              "properties: expected names of at most 512 bytes, joined with dots, found 513");
    EXPECT_EQ(paths.product.size(), 1U);  // A refused line leaves none behind.
}

}  // namespace
}  // namespace export_worker::model
