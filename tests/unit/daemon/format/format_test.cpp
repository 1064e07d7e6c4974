#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "daemon/format/csv.hpp"
#include "daemon/format/product_encoder.hpp"
#include "daemon/model/export_spec.hpp"

namespace export_worker::format {
namespace {

using model::ExportColumn;
using model::ExportFormat;

TEST(Csv, QuotesOnlyWhatNeedsIt) {
    std::string out;
    append_csv_row(out, std::vector<std::string>{"plain", "a,b", "say \"hi\"", "two\nlines", "cr\r",
                                                 " blank ", "", "=1+1"});
    EXPECT_EQ(out, "plain,\"a,b\",\"say \"\"hi\"\"\",\"two\nlines\",\"cr\r\", blank ,,=1+1\r\n");
    out.clear();
    append_csv_row(out, std::vector<std::string>{""});
    EXPECT_EQ(out, "\"\"\r\n");
}

model::Product product(const std::string& body) {
    return *model::parse_product(body, nullptr);
}

std::string encode(ExportFormat format, const std::vector<ExportColumn>& columns,
                   const std::string& body) {
    std::string out;
    const auto encoder = make_encoder(format, columns);
    encoder->append_header(out);
    EXPECT_TRUE(encoder->append(product(body), out));
    return out;
}

TEST(ProductEncoder, FlattensJoinsAndRepeats) {
    const std::vector<std::string> paths{"colors", "key", "price", "size.w", "tags"};
    const auto columns = resolve_columns({}, paths);
    ASSERT_TRUE(columns);
    EXPECT_EQ(
        encode(
            ExportFormat::kCsv, *columns,
            R"({"key":"a","productType":"shirt","isPublished":true,"properties":{"key":"inner","colors":["red","blue"],
                      "size":{"w":1.5},"price":"10","tags":[{"x":1}]},"variants":[{"key":"a/S","properties":{"price":"9"}},
                      {"key":"a/M","isPublished":false,"properties":{}}]})"),
        "key,productType,isPublished,variant_key,colors,properties.key,price,size.w,tags\r\n"
        "a,shirt,true,a/S,red|blue,inner,9,1.5,\"[{\"\"x\"\":1}]\"\r\n"
        "a,shirt,false,a/M,red|blue,inner,10,1.5,\"[{\"\"x\"\":1}]\"\r\n");
}

TEST(ProductEncoder, WritesWholeProductsAsJsonl) {
    EXPECT_EQ(encode(ExportFormat::kJsonl, {}, R"({"key":"a","productType":"t"})"),
              "{\"key\":\"a\",\"productType\":\"t\"}\n");
    EXPECT_EQ(encode(ExportFormat::kJsonl, {{"size.w", "Width"}, {"key", "Key"}, {"nope", "Nope"}},
                     R"({"key":"a","productType":"t","properties":{"size":{"w":3}}})"),
              "{\"Width\":3,\"Key\":\"a\",\"Nope\":null}\n");
}

TEST(ResolveColumns, NamesEveryUnknownColumn) {
    const auto columns = resolve_columns(
        {{"key", "k"}, {"colour", "c"}, {"size", "s"}, {"weigth", "w"}}, {"color", "size.w"});
    ASSERT_FALSE(columns);
    EXPECT_NE(columns.error().message.find("colour, weigth"), std::string::npos);
    EXPECT_TRUE(resolve_columns({{"properties.color", "c"}}, {"color"}));
}

TEST(ExportSpec, RefusesUnknownFieldsAndBadValues) {
    const auto refused = [](const char* text) {
        const auto spec = model::parse_export_spec(nlohmann::json::parse(text));
        return spec ? std::string() : spec.error().message;
    };
    EXPECT_EQ(refused(R"({"format":"csv"})"), "");
    EXPECT_NE(refused(R"({"fromat":"csv"})").find("fromat"), std::string::npos);
    EXPECT_NE(refused(R"({"format":"xls"})").find("expected csv or jsonl"), std::string::npos);
    EXPECT_NE(refused(R"({"product_keys":[]})").find("product_keys"), std::string::npos);
    EXPECT_NE(refused(R"({"product_keys":[7]})").find("product_keys"), std::string::npos);
    EXPECT_NE(refused(R"({"columns":[{"header":"x"}]})").find("columns.property"),
              std::string::npos);
    EXPECT_NE(refused(R"({"columns":[{"property":"x","heading":"x"}]})").find("heading"),
              std::string::npos);
    EXPECT_NE(refused(R"({"filename":"a\nb"})").find("filename"), std::string::npos);
    EXPECT_NE(refused("[]").find("expected an object"), std::string::npos);
}

TEST(ExportSpec, SurvivesStorage) {
    const auto spec = model::parse_export_spec(nlohmann::json::parse(
        R"({"format":"jsonl","product_keys":["a"],"columns":["key",{"property":"p","header":"P"}],"filename":"f"})"));
    ASSERT_TRUE(spec);
    const auto again = model::parse_export_spec(model::to_json(*spec));
    ASSERT_TRUE(again);
    EXPECT_EQ(again->columns[1].header, "P");
    EXPECT_EQ(again->product_keys, spec->product_keys);
}

}  // namespace
}  // namespace export_worker::format
