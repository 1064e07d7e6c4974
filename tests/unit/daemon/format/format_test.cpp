#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>
#include <zlib.h>

#include <filesystem>

#include "base/json.hpp"
#include "base/text.hpp"
#include "daemon/format/cells.hpp"
#include "daemon/format/compressor.hpp"
#include "daemon/format/csv.hpp"
#include "daemon/format/limits.hpp"
#include "daemon/format/product_encoder.hpp"
#include "daemon/format/workbook_check.hpp"
#include "daemon/model/export_spec.hpp"
#include "tests/unit/support/resource_limit.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::format {
namespace {

using nlohmann::json;

class TextSink final : public ByteSink {
public:
    Result<void> write(std::string_view bytes) override {
        text += bytes;
        return {};
    }
    std::string text;
};

model::ExportSpec spec_of(const char* text) {
    auto spec = model::parse_export_spec(parse_json_or_throw(text));
    EXPECT_TRUE(spec) << spec.error().message;
    return *spec;
}

struct Encoded {
    std::string text;
    EncodeReport report;
};

Result<Encoded> try_encode(const char* request, const std::vector<std::string>& bodies,
                           const std::vector<std::string>& paths = {},
                           const std::vector<model::Price>& prices = {}) {
    const model::ExportSpec spec = spec_of(request);
    EW_TRY(std::vector<Column> columns, resolve_columns(spec, paths));
    TextSink sink;
    const testing::TempDir dir;
    const auto encoder = make_encoder({&spec, std::move(columns), &sink, dir.path()});
    EW_CHECK(encoder->begin());
    for (const std::string& body : bodies) {
        EW_TRY(model::Product product, model::parse_product(body, nullptr));
        product.prices = prices;
        product.version = 3;
        product.updated_us = 1'700'000'000'000'000;
        EW_CHECK(encoder->append(product));
    }
    EW_CHECK(encoder->finish());
    return Encoded{std::move(sink.text), encoder->report()};
}

std::string encode(const char* request, const std::vector<std::string>& bodies,
                   const std::vector<std::string>& paths = {}) {
    auto out = try_encode(request, bodies, paths);
    EXPECT_TRUE(out) << out.error().message;
    return out ? out->text : "";
}

TEST(Csv, QuotesOnlyWhatNeedsIt) {
    const auto cell = [](std::string_view text, char delimiter = ',') {
        std::string out;
        append_csv_cell(out, text, delimiter);
        return out;
    };
    EXPECT_EQ(cell("plain"), "plain");
    EXPECT_EQ(cell("a,b"), "\"a,b\"");
    EXPECT_EQ(cell("a,b", ';'), "a,b");
    EXPECT_EQ(cell("a\tb", '\t'), "\"a\tb\"");
    EXPECT_EQ(cell("say \"hi\""), "\"say \"\"hi\"\"\"");
    EXPECT_EQ(cell("\""), "\"\"\"\"");
    EXPECT_EQ(cell("two\nlines"), "\"two\nlines\"");
    EXPECT_EQ(cell("cr\r"), "\"cr\r\"");
    EXPECT_EQ(cell(" blank "), " blank ");
}

constexpr const char* kShirt =
    R"({"key":"a","productType":"shirt","isPublished":true,"labels":["new","sale"],"properties":{"key":"inner",
    "colors":["red","blue"],"size":{"w":1.5},"price":"10","tags":[{"x":1}]},"variants":[
    {"key":"a/S","properties":{"price":"9"}},{"key":"a/M","isPublished":false,"properties":{}}]})";
const std::vector<std::string> kShirtPaths{"colors", "key", "price", "size.w", "tags"};

TEST(ProductEncoder, FlattensJoinsAndRepeats) {
    EXPECT_EQ(encode("{}", {kShirt}, kShirtPaths),
              "key,productType,isPublished,variant_key,colors,properties.key,price,size.w,tags\r\n"
              "a,shirt,true,a/S,red|blue,inner,9,1.5,\"[{\"\"x\"\":1}]\"\r\n"
              "a,shirt,false,a/M,red|blue,inner,10,1.5,\"[{\"\"x\"\":1}]\"\r\n");
}

TEST(ProductEncoder, ParentAndChildRowsHaveTheirOwnValuesOnly) {
    EXPECT_EQ(
        encode(
            R"({"variants":"parent_child","columns":["row_type","key","variant_key","price","colors"]})",
            {kShirt}, kShirtPaths),
        "row_type,key,variant_key,price,colors\r\n"
        "product,a,,10,red|blue\r\n"
        "variant,a,a/S,9,\r\n"
        "variant,a,a/M,,\r\n");
    EXPECT_TRUE(encode(R"({"variants":"parent_child"})", {kShirt}, kShirtPaths)
                    .starts_with("row_type,key,"));
}

TEST(ProductEncoder, SystemColumnsAndPrices) {
    std::vector<model::Price> prices;
    const auto add = [&](const char* variant, const char* brand, std::int64_t from,
                         const char* amount) {
        model::Price price;
        price.product_key = "a";
        price.variant_key = variant;
        price.price_type = "msrp";
        price.currency = "EUR";
        price.brand_key = brand;
        price.effective_from_us = from;
        price.amount = amount;
        prices.push_back(price);
    };
    add("", "b1", 0, "12.50");
    add("", "b1", 5, "11.00");
    add("", "b0", 5, "11.90");
    add("a/M", "b1", 0, "9.90");
    const char* request =
        R"({"columns":["version","updatedAt","publishStatus","labels","prices.msrp.EUR","prices.sale.USD"]})";
    const auto out = try_encode(request, {kShirt}, kShirtPaths, prices);
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(out->text,
              "version,updatedAt,publishStatus,labels,prices.msrp.EUR,prices.sale.USD\r\n"
              "3,2023-11-14T22:13:20Z,live,new|sale,11.90,\r\n"
              "3,2023-11-14T22:13:20Z,live,new|sale,9.90,\r\n");
}

TEST(ProductEncoder, WritesWholeProductsAsJsonl) {
    EXPECT_EQ(encode(R"({"format":"jsonl"})", {R"({"key":"a","productType":"t"})"}),
              "{\"key\":\"a\",\"productType\":\"t\"}\n");
    EXPECT_EQ(
        encode(
            R"({"format":"jsonl","columns":[{"property":"size.w","header":"Width"},{"property":"key","header":"K\"ey"},
                   {"property":"t"},{"property":"u"},{"property":"size"}]})",
            {R"({"key":"a","productType":"t","properties":{"size":{"w":3.10},"t":"é\n"}})"},
            {"size.w", "t", "u"}),
        "{\"Width\":3.1,\"K\\\"ey\":\"a\",\"t\":\"é\\n\",\"u\":null,\"size\":{\"w\":3.1}}\n");
}

TEST(ProductEncoder, AKeyMayHoldDotsAndEscapes) {
    EXPECT_EQ(
        encode(
            R"({"columns":["a.b","a.b.c","q\"t"]})",
            {R"({"key":"k","productType":"t","properties":{"a":{"b":{"c":"nested"}},"a.b":{"c":"dotted"},"q\"t":1}})"},
            {"a.b.c", "q\"t"}),
        "a.b,a.b.c,\"q\"\"t\"\r\n\"{\"\"c\"\":\"\"dotted\"\"}\",dotted,1\r\n");
}

TEST(ProductEncoder, ProfilesDifferInDelimiterMarkAndDecimalPoint) {
    const std::string body = R"({"key":"a","productType":"t","properties":{"n":1.5,"s":"1.5;x"}})";
    const auto with = [&](const char* profile) {
        return encode(
            (std::string(R"({"columns":["key","n","s"],"profile":")") + profile + "\"}").c_str(),
            {body}, {"n", "s"});
    };
    EXPECT_EQ(with("rfc4180"), "key,n,s\r\na,1.5,1.5;x\r\n");
    EXPECT_EQ(with("excel"), "\xef\xbb\xbfkey,n,s\r\na,1.5,1.5;x\r\n");
    EXPECT_EQ(with("excel-eu"), "\xef\xbb\xbfkey;n;s\r\na;1,5;\"1.5;x\"\r\n");
    EXPECT_EQ(with("tsv"), "key\tn\ts\r\na\t1.5\t1.5;x\r\n");
}

TEST(ProductEncoder, FormulasAreGuardedCountedOrRefused) {
    const std::vector<std::string> bodies{
        R"({"key":"a","productType":"t","properties":{"p":"=1+1","q":-5,"r":"-5.00"}})",
        R"({"key":"b","productType":"t","properties":{"p":"+49 40","q":7,"r":"＝x"}})"};
    const auto guarded =
        try_encode(R"({"columns":["p","q","r"],"profile":"excel"})", bodies, {"p", "q", "r"});
    ASSERT_TRUE(guarded);
    EXPECT_EQ(guarded->text, "\xef\xbb\xbfp,q,r\r\n'=1+1,-5,-5.00\r\n'+49 40,7,'＝x\r\n");
    EXPECT_EQ(guarded->report.guarded_cells, 3);
    EXPECT_EQ(encode(R"({"columns":["p"]})", bodies, {"p"}), "p\r\n=1+1\r\n+49 40\r\n");
    // Each beginning that a spreadsheet takes for a formula's, also behind what it skips.
    for (const char* text : {"=1", "@a", "+a", "-a", "\t=1", "\r=1", "\n=1",
                             "\xef\xbc\x9d"
                             "1",
                             "\xef\xbc\x8b"
                             "1",
                             "\xef\xbc\x8d"
                             "1",
                             "\xef\xbc\xa0"
                             "a"})
        EXPECT_TRUE(is_formula(text)) << text;
    EXPECT_TRUE(is_formula(std::string_view("\0=1", 3)));
    for (const char* text : {"", "a=1", "1", "-5", "+5.0", " =1", "\xef\xbb\xbf"})
        EXPECT_FALSE(is_formula(text)) << text;
    const auto refused = try_encode(R"({"columns":["p"],"formulas":"reject"})", bodies, {"p"});
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("product 'a'"), std::string::npos);
}

TEST(ProductEncoder, ColumnFormats) {
    const auto out = try_encode(
        R"({"columns":[{"property":"n","format":"number:2"},{"property":"d","format":"date"},{"property":"b","format":"yes_no"},
            {"property":"j","format":"json"},{"property":"n","header":"t","format":"text"}]})",
        {R"({"key":"a","productType":"t","properties":{"n":"2.345","d":"2026-11-25T10:00:00Z","b":true,"j":"x"}})",
         R"({"key":"b","productType":"t","properties":{"n":"many","d":"soon","b":"maybe","j":[1]}})"},
        {"b", "d", "j", "n"});
    ASSERT_TRUE(out) << out.error().message;
    EXPECT_EQ(
        out->text,
        "n,d,b,j,t\r\n2.35,2026-11-25,yes,\"\"\"x\"\"\",2.345\r\nmany,soon,maybe,[1],many\r\n");
    EXPECT_EQ(out->report.mismatched_cells, 3);
    ASSERT_EQ(out->report.warnings.size(), 3U);
    EXPECT_EQ(out->report.warnings[0].entity_key, "b");
}

TEST(ProductEncoder, FiltersByLabelAndProperty) {
    const std::vector<std::string> bodies{
        kShirt, R"({"key":"b","productType":"t","labels":["new"],"properties":{"price":"10"}})"};
    EXPECT_EQ(encode(R"({"columns":["key"],"filter":{"labels":["new","sale"]}})", bodies),
              "key\r\na\r\na\r\n");
    // Of a row a variant: only the variants that have the value.
    EXPECT_EQ(encode(R"({"columns":["key","variant_key"],"filter":{"properties":{"price":"10"}}})",
                     bodies, kShirtPaths),
              "key,variant_key\r\na,a/M\r\nb,\r\n");
    const auto nested = try_encode(R"({"format":"jsonl","filter":{"properties":{"price":9}}})",
                                   bodies, kShirtPaths);
    EXPECT_EQ(nested->report.products, 1);  // The text "9" reads the same.
}

TEST(ProductEncoder, AnUnreadableProductIsSkippedAndNamed) {
    const model::ExportSpec spec = spec_of(R"({"columns":["key"]})");
    TextSink sink;
    const auto encoder = make_encoder({&spec, *resolve_columns(spec, {}), &sink, ""});
    ASSERT_TRUE(encoder->begin());
    model::Product broken;
    broken.key = "broken";
    broken.body = R"({"key":"broken","properties":{"a":)";
    ASSERT_TRUE(encoder->append(broken));
    ASSERT_TRUE(encoder->finish());
    EXPECT_EQ(encoder->report().skipped_products, 1);
    EXPECT_EQ(encoder->report().errors.at(0).entity_key, "broken");
    EXPECT_EQ(encoder->report().rows, 0);
}

TEST(ProductEncoder, WorkbooksAreTheSameBytesEveryTime) {
    const std::vector<std::string> bodies{
        kShirt, R"({"key":"=x","productType":"t","properties":{"price":12.5,"key":true}})"};
    const auto first = try_encode(R"({"format":"xlsx"})", bodies, kShirtPaths);
    ASSERT_TRUE(first) << first.error().message;
    EXPECT_TRUE(first->text.starts_with("PK"));
    EXPECT_EQ(first->text, encode(R"({"format":"xlsx"})", bodies, kShirtPaths));
    EXPECT_EQ(first->report.sheets, 1);
    EXPECT_EQ(first->report.rows, 3);
}

TEST(ProductEncoder, OverlongCellsOfAWorkbookAreCutAndMarked) {
    const std::string longest(limits::kXlsxCellUnitsMax, 'x');
    const auto fits = try_encode(
        R"({"format":"xlsx","columns":["p"]})",
        {R"({"key":"a","productType":"t","properties":{"p":")" + longest + "\"}}"}, {"p"});
    EXPECT_EQ(fits->report.truncated_cells, 0);
    const auto cut = try_encode(
        R"({"format":"xlsx","columns":["p"]})",
        {R"({"key":"a","productType":"t","properties":{"p":")" + longest + "y\"}}"}, {"p"});
    EXPECT_EQ(cut->report.truncated_cells, 1);
    EXPECT_EQ(cut->report.warnings.at(0).error_type, "truncated");
}

// A spreadsheet counts UTF-16 units: a character beyond the first 65,536 is two.
TEST(ProductEncoder, CellsOfAWorkbookAreMeasuredAsASpreadsheetDoes) {
    const auto truncated = [](std::size_t emojis, const std::string& more) {
        std::string text;
        for (std::size_t count = 0; count < emojis; ++count) text += "\xf0\x9f\x9f\xa2";
        const auto out = try_encode(
            R"({"format":"xlsx","columns":["p"]})",
            {R"({"key":"a","productType":"t","properties":{"p":")" + text + more + "\"}}"}, {"p"});
        EXPECT_TRUE(out) << out.error().message;
        return out ? out->report.truncated_cells : -1;
    };
    EXPECT_EQ(truncated(16'383, "x"), 0);  // 32,767 units.
    EXPECT_EQ(truncated(16'383, "xx"), 1);
    EXPECT_EQ(truncated(16'384, ""), 1);
}

// The first sheet of a workbook.
std::string sheet_of(const std::string& workbook) {
    const std::size_t name = workbook.find("xl/worksheets/sheet1.xml");  // In its local header.
    if (name == std::string::npos) return "no sheet";
    const auto extra = static_cast<unsigned char>(workbook[name - 2]) +
                       256U * static_cast<unsigned char>(workbook[name - 1]);
    std::string packed = workbook.substr(name + 24 + extra);
    std::string out(1024 * 1024, '\0');
    z_stream stream{};
    stream.next_in = reinterpret_cast<Bytef*>(packed.data());
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    EXPECT_EQ(::inflateInit2(&stream, -MAX_WBITS), Z_OK);
    EXPECT_EQ(::inflate(&stream, Z_FINISH), Z_STREAM_END);
    ::inflateEnd(&stream);
    return out.substr(0, stream.total_out);
}

// A spreadsheet keeps 15 digits; it would change the others without a word.
TEST(ProductEncoder, ANumberThatASpreadsheetWouldChangeStaysText) {
    const auto sheet = [](const std::string& number) {
        return sheet_of(
            encode(R"({"format":"xlsx","columns":["n"]})",
                   {R"({"key":"a","productType":"t","properties":{"n":)" + number + "}}"}, {"n"}));
    };
    for (const char* number : {"5", "-0.25", "123456789012345", "0.00123456789012345"})
        EXPECT_EQ(sheet(number).find("<t>" + std::string(number)), std::string::npos) << number;
    EXPECT_NE(sheet("123456789012345").find("<v>123456789012345</v>"), std::string::npos);
    for (const char* number : {"1234567890123456", "-12345678901234567", "1.000000000000001"})
        EXPECT_NE(sheet(number).find("<t>" + std::string(number) + "</t>"), std::string::npos)
            << number << ": " << sheet(number);
}

TEST(CheckWorkbook, SeesASheetThatEndsEarly) {
    const testing::TempDir dir;
    const std::string whole =
        encode(R"({"format":"xlsx","columns":["key"]})", {R"({"key":"a","productType":"t"})"});
    const auto check = [&](const std::string& bytes, std::size_t sheets = 1) {
        return check_workbook(dir.write("x.xlsx", bytes), sheets);
    };
    EXPECT_TRUE(check(whole));
    EXPECT_EQ(check(whole, 2).error().code, ErrorCode::kDataLoss);
    EXPECT_EQ(check(whole.substr(0, whole.size() / 2)).error().code, ErrorCode::kDataLoss);
    EXPECT_EQ(check("PK").error().code, ErrorCode::kDataLoss);
    std::string damaged = whole;
    const std::size_t sheet = damaged.find("xl/worksheets/sheet1.xml");
    ASSERT_NE(sheet, std::string::npos);
    for (std::size_t at = sheet + 60; at < sheet + 70; ++at) damaged[at] = '\xff';
    EXPECT_EQ(check(damaged).error().code, ErrorCode::kDataLoss);
}

TEST(CheckWorkbook, RefusesOneThatItsFormatCannotHold) {
    const testing::TempDir dir;
    const std::string path = dir.write("x.xlsx", "");
    std::filesystem::resize_file(path, limits::kXlsxFileBytesMax + 1);  // A hole.
    const auto refused = check_workbook(path, 1);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("larger than the 4 GiB its format allows"),
              std::string::npos);
}

TEST(ProductEncoder, AWorkbookNeedsItsDirectory) {
    const model::ExportSpec spec = spec_of(R"({"format":"xlsx","columns":["key"]})");
    TextSink sink;
    const testing::TempDir dir;
    const std::string there = dir / "there";
    std::filesystem::create_directory(there);
    const auto made_in = [&](const std::string& directory) {
        return make_encoder({&spec, *resolve_columns(spec, {}), &sink, directory});
    };
    const auto nowhere = made_in(dir / "nowhere")->begin();
    ASSERT_FALSE(nowhere);
    EXPECT_NE(nowhere.error().message.find("create a file in " + (dir / "nowhere")),
              std::string::npos)
        << nowhere.error().message;
    const auto encoder = made_in(there);
    ASSERT_TRUE(encoder->begin());
    std::filesystem::remove_all(there);
    const auto lost = encoder->finish();
    ASSERT_FALSE(lost);
    EXPECT_NE(lost.error().message.find("pack the workbook"), std::string::npos)
        << lost.error().message;
    EXPECT_EQ(sink.text, "");
}

TEST(ProductEncoder, AWorkbookWhoseSheetCannotBeMadeIsRefused) {
    const model::ExportSpec spec = spec_of(R"({"format":"xlsx","columns":["key"]})");
    TextSink sink;
    const testing::TempDir dir;
    const auto encoder = make_encoder({&spec, *resolve_columns(spec, {}), &sink, dir.path()});
    const int next = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
    ASSERT_EQ(::close(next), 0);
    Result<void> refused;
    {
        // One is left, which the workbook takes.
        const testing::ResourceLimit bound(RLIMIT_NOFILE, static_cast<rlim_t>(next) + 1);
        refused = encoder->begin();
    }
    ASSERT_FALSE(refused);
    EXPECT_NE(refused.error().message.find("add a sheet in " + dir.path()), std::string::npos)
        << refused.error().message;
}

TEST(ResolveColumns, AWorkbookHasABoundedNumber) {
    std::vector<std::string> paths;
    while (paths.size() < limits::kXlsxColumnsMax)
        paths.push_back("p" + std::to_string(paths.size()));
    const auto refused = resolve_columns(spec_of(R"({"format":"xlsx"})"), paths);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code, ErrorCode::kInvalidArgument);
    EXPECT_NE(refused.error().message.find("columns: expected at most 16384 for xlsx"),
              std::string::npos)
        << refused.error().message;
}

TEST(ResolveColumns, NamesEveryUnknownColumn) {
    const auto columns = resolve_columns(
        spec_of(R"({"columns":["key","colour","size","weigth","prices.msrp.eur"]})"),
        {"color", "size.w"});
    ASSERT_FALSE(columns);
    EXPECT_NE(columns.error().message.find("colour, weigth, prices.msrp.eur"), std::string::npos);
    EXPECT_TRUE(resolve_columns(spec_of(R"({"columns":["properties.color"]})"), {"color"}));
}

TEST(Decimals, AreRoundedAsText) {
    EXPECT_EQ(round_decimal("2.345", 2), "2.35");
    EXPECT_EQ(round_decimal("-2.345", 2), "-2.35");
    EXPECT_EQ(round_decimal("9.999", 2), "10.00");
    EXPECT_EQ(round_decimal("0.4", 0), "0");
    EXPECT_EQ(round_decimal("-0.4", 0), "0");
    EXPECT_EQ(round_decimal("99.5", 0), "100");
    EXPECT_EQ(round_decimal("+007", -1), "7");
    EXPECT_EQ(round_decimal("1.50", -1), "1.50");
    EXPECT_EQ(round_decimal("1", 3), "1.000");
    EXPECT_TRUE(is_decimal("-5"));
    EXPECT_FALSE(is_decimal("5."));
    EXPECT_FALSE(is_decimal("1e5"));
    EXPECT_FALSE(is_decimal(""));
    EXPECT_FALSE(is_decimal("+"));
}

TEST(ExportSpec, RefusesUnknownFieldsAndBadValues) {
    const auto refused = [](const char* text) {
        const auto spec = model::parse_export_spec(parse_json_or_throw(text));
        return spec ? std::string() : spec.error().message;
    };
    EXPECT_EQ(refused(R"({"format":"csv"})"), "");
    EXPECT_NE(refused(R"({"fromat":"csv"})").find("fromat"), std::string::npos);
    EXPECT_NE(refused(R"({"format":"xls"})").find("expected csv, jsonl or xlsx"),
              std::string::npos);
    EXPECT_NE(refused(R"({"product_keys":[]})").find("product_keys"), std::string::npos);
    EXPECT_NE(refused(R"({"product_keys":[7]})").find("product_keys"), std::string::npos);
    EXPECT_NE(refused(R"({"product_keys":"a"})").find("product_keys: expected a list of 1 to"),
              std::string::npos);
    EXPECT_NE(
        refused(R"({"columns":[7]})").find("columns: expected text or {property, header, format}"),
        std::string::npos);
    EXPECT_NE(refused(R"({"columns":[{"header":"x"}]})").find("columns.property"),
              std::string::npos);
    EXPECT_NE(refused(R"({"columns":[{"property":"x","heading":"x"}]})").find("heading"),
              std::string::npos);
    EXPECT_NE(refused(R"({"columns":[{"property":"x","format":"money"}]})").find("columns.format"),
              std::string::npos);
    EXPECT_NE(refused(R"({"filename":"a\nb"})").find("filename"), std::string::npos);
    EXPECT_EQ(refused(R"({"format":"xlsx","compression":"gzip"})"),
              "compression: expected none for format xlsx, which is compressed, found gzip");
    EXPECT_NE(refused(R"({"format":"jsonl","profile":"tsv"})").find("profile"), std::string::npos);
    EXPECT_EQ(refused(R"({"variants":"nested"})"),
              "variants: expected row_per_variant or parent_child for format csv, found nested");
    EXPECT_NE(refused(R"({"format":"jsonl","formulas":"guard"})").find("formulas"),
              std::string::npos);
    EXPECT_EQ(refused(R"({"product_keys":["a"],"filter":{"labels":["x"]}})"),
              "filter: expected either product_keys or filter, found both");
    EXPECT_NE(refused(R"({"filter":{"lables":["x"]}})").find("filter.lables"), std::string::npos);
    EXPECT_NE(refused(R"({"filter":{"publish_status":"gone"}})").find("draft, live or changed"),
              std::string::npos);
    EXPECT_NE(refused(R"({"filter":{"updated_since":"yesterday"}})").find("updated_since"),
              std::string::npos);
    EXPECT_NE(refused(R"({"filter":{"properties":{"a":null}}})").find("filter.properties.a"),
              std::string::npos);
    EXPECT_NE(refused("[]").find("expected an object"), std::string::npos);
}

TEST(ExportSpec, WhatAFilterNamesIsBounded) {
    const auto refused = [](const json& filter) {
        const auto spec = model::parse_export_spec({{"filter", filter}});
        return spec ? std::string() : spec.error().message;
    };
    const auto many = [](std::size_t count) {
        json out = json::array();
        while (out.size() < count) out.push_back("t" + std::to_string(out.size()));
        return out;
    };
    const auto named = [](std::size_t count) {
        json out = json::object();
        while (out.size() < count) out["p" + std::to_string(out.size())] = 1;
        return out;
    };
    for (const char* name : {"product_type", "labels"}) {
        EXPECT_EQ(refused({{name, many(100)}}), "");
        EXPECT_NE(refused({{name, many(101)}}).find(name), std::string::npos) << name;
    }
    EXPECT_EQ(refused({{"properties", named(100)}}), "");
    EXPECT_NE(refused({{"properties", named(101)}}).find("1 to 100 properties"), std::string::npos);
}

TEST(ExportSpec, SurvivesStorage) {
    for (
        const char* text :
        {R"({"format":"jsonl","product_keys":["a"],"columns":["key",{"property":"p","header":"P","format":"number:2"}],"filename":"f","variants":"parent_child"})",
         R"({"profile":"excel-eu","compression":"zstd","filter":{"product_type":["a","b"],"publish_status":"live","labels":["x"],"updated_since":"2026-01-02T03:04:05Z","properties":{"brand":"N","n":3}}})",
         R"({"format":"jsonl"})", R"({"format":"xlsx"})", R"({"formulas":"reject"})"}) {
        const model::ExportSpec spec = spec_of(text);
        const auto again = model::parse_export_spec(model::to_json(spec));
        ASSERT_TRUE(again) << again.error().message;
        EXPECT_EQ(model::to_json(*again), model::to_json(spec));
        EXPECT_EQ(again->columns, spec.columns);
        EXPECT_EQ(again->variants, spec.variants);
        EXPECT_EQ(again->formulas, spec.formulas);
        EXPECT_EQ(again->filter.updated_since_us, spec.filter.updated_since_us);
    }
}

TEST(ExportSpec, TemplatesHoldWhatIsNotAboutOneExport) {
    EXPECT_TRUE(model::check_export_template(
        parse_json_or_throw(R"({"columns":["key"],"format":"xlsx"})")));
    EXPECT_FALSE(model::check_export_template(parse_json_or_throw(R"({"filename":"x"})")));
    EXPECT_FALSE(model::check_export_template(parse_json_or_throw(R"({"format":"docx"})")));
    EXPECT_FALSE(model::check_export_template(json::object()));
}

TEST(Compressor, SameBytesEveryTime) {
    for (const auto kind : {model::Compression::kGzip, model::Compression::kZstd}) {
        std::string outputs[2];
        for (std::string& output : outputs) {
            TextSink sink;
            auto compressor = make_compressor(kind, sink);
            ASSERT_TRUE(compressor);
            ASSERT_TRUE((*compressor)->write(std::string(300'000, 'a')));
            ASSERT_TRUE((*compressor)->write("b"));
            ASSERT_TRUE((*compressor)->finish());
            output = sink.text;
        }
        EXPECT_EQ(outputs[0], outputs[1]);
        EXPECT_LT(outputs[0].size(), 2'000U);
    }
}

}  // namespace
}  // namespace export_worker::format
