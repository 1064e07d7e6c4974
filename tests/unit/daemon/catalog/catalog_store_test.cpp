#include "daemon/catalog/catalog_store.hpp"
#include "base/shared_limits.hpp"

#include <gtest/gtest.h>

#include "daemon/catalog/limits.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {
namespace {

class CatalogStoreTest : public ::testing::Test {
protected:
    Result<model::Product> find(const std::string& organization_id, const std::string& key) {
        BatchQuery query;
        query.organization_id = organization_id;
        return store_->find(query, key);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<CatalogStore> store_ = std::move(
        *CatalogStore::open(dir_ / "catalog.db", clock_, sqlite::Durability::kUnsyncedForTest));
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
    EXPECT_EQ(find("acme", "b")->product_type, "mug");
    EXPECT_EQ(*store_->property_paths("acme"), std::vector<std::string>{"size.w"});
}

TEST_F(CatalogStoreTest, AnImportReplacesByKeyWithinTheOrganization) {
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"one"})", 1));
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"two"})", 1));
    ASSERT_TRUE(store_->import_lines("umbrella", R"({"key":"a","productType":"three"})", 1));
    EXPECT_EQ(find("acme", "a")->product_type, "two");
    EXPECT_EQ(*store_->count("acme"), 1);
    EXPECT_EQ(find("nobody", "a").error().code, ErrorCode::kNotFound);
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
    BatchQuery query;
    query.organization_id = "acme";
    std::string after;
    int seen = 0;
    while (!query.at_end) {
        ASSERT_TRUE(store_->read_batch(query, batch));
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

TEST_F(CatalogStoreTest, OfManyBadLinesTheFirstAreShownAndAllAreCounted) {
    std::string lines;
    for (std::size_t count = 0; count < limits::kImportErrorsShownMax + 5; ++count) lines += "x\n";
    for (const auto& report :
         {store_->import_lines("acme", lines, 1), store_->import_prices("acme", lines, 1)}) {
        ASSERT_TRUE(report);
        EXPECT_EQ(report->rejected, static_cast<std::int64_t>(limits::kImportErrorsShownMax + 5));
        ASSERT_EQ(report->errors.size(), limits::kImportErrorsShownMax);
        EXPECT_EQ(report->errors.back().line,
                  static_cast<std::int64_t>(limits::kImportErrorsShownMax));
    }
}

TEST_F(CatalogStoreTest, TheSameContentAgainIsNoNewVersion) {
    const std::string one = R"({"key":"a","productType":"t","properties":{"x":1}})";
    ASSERT_TRUE(store_->import_lines("acme", one, 1));
    const auto first = find("acme", "a");
    EXPECT_EQ(first->version, 1);
    clock_.advance(std::chrono::seconds(10));
    ASSERT_TRUE(store_->import_lines("acme", one, 1));
    EXPECT_EQ(find("acme", "a")->version, 1);
    EXPECT_EQ(find("acme", "a")->updated_us, first->updated_us);
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"t"})", 1));
    EXPECT_EQ(find("acme", "a")->version, 2);
    EXPECT_GT(find("acme", "a")->updated_us, first->updated_us);
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"t","version":9})", 1));
    EXPECT_EQ(find("acme", "a")->version, 9);
    EXPECT_EQ(*store_->count("acme"), 1);
}

TEST_F(CatalogStoreTest, FiltersByTypeStatusAndTime) {
    ASSERT_TRUE(store_->import_lines(
        "acme",
        "{\"key\":\"a\",\"productType\":\"mug\",\"isPublished\":true}\n"
        "{\"key\":\"b\",\"productType\":\"mug\"}\n"
        "{\"key\":\"c\",\"productType\":\"hat\",\"publish_status\":\"changed\"}",
        1));
    clock_.advance(std::chrono::seconds(10));
    const std::int64_t later = clock_.unix_us();
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"d","productType":"mug"})", 1));
    const auto keys = [&](const model::ExportFilter& filter) {
        BatchQuery query;
        query.organization_id = "acme";
        query.filter = &filter;
        std::vector<model::Product> batch;
        std::string out;
        while (!query.at_end) {
            EXPECT_TRUE(store_->read_batch(query, batch));
            for (const auto& product : batch) out += product.key;
        }
        return out;
    };
    model::ExportFilter filter;
    EXPECT_EQ(keys(filter), "abcd");
    filter.product_types = {"mug", "hat"};
    filter.publish_statuses = {"draft", "changed"};
    EXPECT_EQ(keys(filter), "bcd");
    filter.updated_since_us = later;
    EXPECT_EQ(keys(filter), "d");
}

TEST_F(CatalogStoreTest, PricesAreJoinedAsOfAnInstant) {
    ASSERT_TRUE(store_->import_lines(
        "acme", "{\"key\":\"a\",\"productType\":\"t\"}\n{\"key\":\"b\",\"productType\":\"t\"}", 1));
    const auto report = store_->import_prices(
        "acme",
        "{\"product_key\":\"a\",\"brand_key\":\"x\",\"amount\":12.50,\"currency\":\"EUR\"}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":\"7\",\"effective_from\":\"2026-01-"
        "01T00:00:00Z\",\"effective_to\":\"2026-02-01T00:00:00Z\"}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":-1}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":1,\"price_type\":\"gift\"}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":1,\"currency\":\"eur\"}\n"
        "{\"brand_key\":\"x\",\"amount\":1}",
        1);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->imported, 2);
    ASSERT_EQ(report->rejected, 4);
    EXPECT_NE(report->errors[0].message.find("amount"), std::string::npos);
    BatchQuery query;
    query.organization_id = "acme";
    query.with_prices = true;
    query.prices_at_us = *parse_iso8601_seconds("2026-01-15T00:00:00Z") * 1'000'000;
    std::vector<model::Product> batch;
    ASSERT_TRUE(store_->read_batch(query, batch));
    ASSERT_EQ(batch.size(), 2U);
    EXPECT_EQ(batch[0].prices.at(0).amount, "12.50");
    EXPECT_EQ(batch[1].prices.at(0).amount, "7");
    EXPECT_EQ(batch[1].prices.at(0).price_type, "map");
    query.prices_at_us = *parse_iso8601_seconds("2026-02-01T00:00:00Z") * 1'000'000;
    EXPECT_TRUE(store_->find(query, "b")->prices.empty());
}

TEST_F(CatalogStoreTest, TemplatesBelongToOneOrganization) {
    ASSERT_TRUE(store_->put_template("acme", {"weekly", "{}", 0}));
    ASSERT_TRUE(store_->put_template("acme", {"weekly", R"({"format":"csv"})", 0}));
    EXPECT_EQ(store_->find_template("acme", "weekly")->body_json, R"({"format":"csv"})");
    EXPECT_EQ(store_->find_template("umbrella", "weekly").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(store_->templates("acme")->size(), 1U);
    for (std::size_t index = 1; index < limits::kExportTemplatesMax; ++index)
        ASSERT_TRUE(store_->put_template("acme", {"t" + std::to_string(index), "{}", 0}));
    EXPECT_EQ(store_->put_template("acme", {"one more", "{}", 0}).error().code,
              ErrorCode::kConflict);
    ASSERT_TRUE(store_->drop_template("acme", "weekly"));
    EXPECT_EQ(store_->drop_template("acme", "weekly").error().code, ErrorCode::kNotFound);
}

TEST_F(CatalogStoreTest, ABackupIsAWholeCatalog) {
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"a","productType":"t"})", 1));
    ASSERT_TRUE(store_->backup(dir_ / "copy.db"));
    ASSERT_TRUE(store_->import_lines("acme", R"({"key":"b","productType":"t"})", 1));
    const auto copy = CatalogStore::open(dir_ / "copy.db", clock_);
    ASSERT_TRUE(copy) << copy.error().message;
    EXPECT_EQ(*(*copy)->count("acme"), 1);
}

}  // namespace
}  // namespace export_worker::catalog
