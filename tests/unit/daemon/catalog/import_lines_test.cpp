#include "daemon/catalog/import_lines.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "base/shared_limits.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {
namespace {

class ImportLinesTest : public ::testing::Test {
protected:
    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<CatalogStore> store_ = std::move(*open_sqlite_catalog_store(
        dir_ / "catalog.db", clock_, sqlite::Durability::kUnsyncedForTest));
};

TEST_F(ImportLinesTest, BadLinesCostOnlyThemselvesAndAreNumbered) {
    const auto report = import_products(
        store_->imports(), "acme",
        "{\"key\":\"a\",\"productType\":\"shirt\"}\n"
        "not json\n"
        "\n"
        "{\"key\":\"\",\"productType\":\"shirt\"}\n"
        "{\"key\":\"b\",\"productType\":{\"key\":\"mug\"},\"properties\":{\"size\":{\"w\":1}}}\n"
        "{\"key\":\"c\"}\n"
        "{\"key\":\"d\",\"productType\":\"x\",\"variants\":[{\"key\":\"v\"},{\"key\":\"v\"}]}",
        101);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->imported, 2);
    EXPECT_EQ(report->rejected, 4);
    ASSERT_EQ(report->errors.size(), 4U);
    EXPECT_EQ(report->errors[0].line, 102);
    EXPECT_EQ(report->errors[1].line, 104);
    EXPECT_EQ(report->errors[2].line, 106);
    EXPECT_NE(report->errors[3].message.find("same key twice"), std::string::npos);
    EXPECT_EQ(*store_->reader().count("acme"), 2);
    BatchQuery query;
    query.organization_id = "acme";
    std::vector<model::Product> found;
    ASSERT_EQ(*store_->reader().find(query, std::vector<std::string>{"b"}, found), 1U);
    EXPECT_EQ(found.at(0).product_type, "mug");
    EXPECT_EQ(*store_->reader().property_paths("acme"), std::vector<std::string>{"size.w"});
}

TEST_F(ImportLinesTest, RefusesOverlongAndOverdeepProducts) {
    std::string deep = "1";
    for (std::size_t level = 0; level < limits::kProductDepthMax + 1; ++level)
        deep = "{\"a\":" + deep + "}";
    const auto report = import_products(
        store_->imports(), "acme",
        R"({"key":"a","productType":"t","properties":)" + deep + "}\n{\"key\":\"" +
            std::string(limits::kProductKeyBytesMax + 1, 'k') + "\",\"productType\":\"t\"}\n" +
            "{\"key\":\"c\",\"productType\":\"t\",\"x\":\"" +
            std::string(limits::kProductLineBytesMax, 'x') + "\"}",
        1);
    EXPECT_EQ(report->rejected, 3);
    EXPECT_EQ(report->imported, 0);
}

TEST_F(ImportLinesTest, OfManyBadLinesTheFirstAreShownAndAllAreCounted) {
    std::string lines;
    for (std::size_t count = 0; count < limits::kImportErrorsShownMax + 5; ++count) lines += "x\n";
    for (const auto& report : {import_products(store_->imports(), "acme", lines, 1),
                               import_prices(store_->imports(), "acme", lines, 1)}) {
        ASSERT_TRUE(report);
        EXPECT_EQ(report->rejected, static_cast<std::int64_t>(limits::kImportErrorsShownMax + 5));
        ASSERT_EQ(report->errors.size(), limits::kImportErrorsShownMax);
        EXPECT_EQ(report->errors.back().line,
                  static_cast<std::int64_t>(limits::kImportErrorsShownMax));
    }
}

TEST_F(ImportLinesTest, BadPricesAreReported) {
    const auto report = import_prices(
        store_->imports(), "acme",
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":1}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":-1}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":1,\"price_type\":\"gift\"}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":1,\"currency\":\"eur\"}\n"
        "{\"brand_key\":\"x\",\"amount\":1}",
        1);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->imported, 1);
    ASSERT_EQ(report->rejected, 4);
    EXPECT_NE(report->errors[0].message.find("amount"), std::string::npos);
}

}  // namespace
}  // namespace export_worker::catalog
