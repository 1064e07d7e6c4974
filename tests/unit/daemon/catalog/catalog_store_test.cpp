#include "daemon/catalog/catalog_store.hpp"

#include <gtest/gtest.h>

#include "base/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {
namespace {

class CatalogStoreTest : public ::testing::Test {
protected:
    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<CatalogStore> store_ =
        std::move(*CatalogStore::open(dir_ / "catalog.db", clock_));
};

TEST_F(CatalogStoreTest, BadLinesCostOnlyThemselvesAndAreNumbered) {
    const auto report = store_->import_lines(
        "acme",
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
    EXPECT_EQ(*store_->count("acme"), 2);
    EXPECT_EQ(store_->find("acme", "b")->product_type, "mug");
    EXPECT_EQ(*store_->property_paths("acme"), std::vector<std::string>{"size.w"});
}

TEST_F(CatalogStoreTest, AnImportReplacesByKeyWithinTheOrganization) {
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"one"})", 1));
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"two"})", 1));
    ASSERT_TRUE(store_->import_lines("umbrella", R"({"key":"a","productType":"three"})", 1));
    EXPECT_EQ(store_->find("acme", "a")->product_type, "two");
    EXPECT_EQ(*store_->count("acme"), 1);
    EXPECT_EQ(store_->find("nobody", "a").error().code, ErrorCode::kNotFound);
}

TEST_F(CatalogStoreTest, BatchesAreBoundedAndCoverEverythingOnce) {
    std::string lines;
    constexpr int kProducts = 1234;
    for (int index = 0; index < kProducts; ++index)
        lines += R"({"key":"k)" + std::to_string(10000 + index) +
                 R"(","productType":"t"})"
                 "\n";
    ASSERT_TRUE(store_->import_lines("acme", lines, 1));
    std::vector<model::Product> batch;
    std::string after;
    int seen = 0;
    for (;;) {
        ASSERT_TRUE(store_->read_batch("acme", after, batch));
        if (batch.empty()) break;
        EXPECT_LE(batch.size(), limits::kCatalogBatchRows);
        for (const auto& product : batch) {
            EXPECT_LT(after, product.key);
            after = product.key;
            ++seen;
        }
    }
    EXPECT_EQ(seen, kProducts);
}

TEST_F(CatalogStoreTest, RefusesOverlongAndOverdeepProducts) {
    std::string deep = "1";
    for (std::size_t level = 0; level < limits::kProductDepthMax + 1; ++level)
        deep = "{\"a\":" + deep + "}";
    const auto report = store_->import_lines(
        "acme",
        R"({"key":"a","productType":"t","properties":)" + deep + "}\n{\"key\":\"" +
            std::string(limits::kProductKeyBytesMax + 1, 'k') + "\",\"productType\":\"t\"}\n" +
            "{\"key\":\"c\",\"productType\":\"t\",\"x\":\"" +
            std::string(limits::kProductLineBytesMax, 'x') + "\"}",
        1);
    EXPECT_EQ(report->rejected, 3);
    EXPECT_EQ(report->imported, 0);
}

}  // namespace
}  // namespace export_worker::catalog
