// What every catalog does with prices and with the saved templates of exports.
#pragma once

#include <algorithm>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "daemon/catalog/limits.hpp"
#include "tests/unit/daemon/catalog/catalog_store_fixture.hpp"

namespace export_worker::catalog {

TEST_P(CatalogStoreConformance, PricesAreJoinedAsOfAnInstant) {
    import("{\"key\":\"a\",\"productType\":\"t\"}\n{\"key\":\"b\",\"productType\":\"t\"}");
    const auto report = import_prices(
        store_->imports(), "acme",
        "{\"product_key\":\"a\",\"brand_key\":\"x\",\"amount\":12.50,\"currency\":\"EUR\"}\n"
        "{\"product_key\":\"b\",\"brand_key\":\"x\",\"amount\":\"7\",\"effective_from\":\"2026-01-"
        "01T00:00:00Z\",\"effective_to\":\"2026-02-01T00:00:00Z\"}",
        1);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->imported, 2);
    BatchQuery query = query_of("acme");
    query.with_prices = true;
    query.prices_at_us = *parse_iso8601_seconds("2026-01-15T00:00:00Z") * 1'000'000;
    const auto batch = next_batch(query);
    ASSERT_EQ(batch.size(), 2U);
    EXPECT_EQ(batch[0].prices.at(0).amount, "12.50");
    EXPECT_EQ(batch[1].prices.at(0).amount, "7");
    EXPECT_EQ(batch[1].prices.at(0).price_type, "map");
    const auto found = find_all(query, {"b", "a"});
    EXPECT_EQ(found.at(0).prices.at(0).amount, "7");
    EXPECT_EQ(found.at(1).prices.at(0).amount, "12.50");
    query.prices_at_us = *parse_iso8601_seconds("2026-02-01T00:00:00Z") * 1'000'000;
    EXPECT_TRUE(find_all(query, {"b"}).at(0).prices.empty());
    query.with_prices = false;
    EXPECT_TRUE(find_all(query, {"a"}).at(0).prices.empty());
}

// By all of their key: the same prices give the same file.
TEST_P(CatalogStoreConformance, PricesOfAProductComeInTheOrderOfTheirKeys) {
    import(product_lines(2));
    std::string lines;
    for (const char* key : {"k10001", "k10000"})
        for (const char* rest :
             {R"("EUR","variant_key":"w","brand_key":"a")", R"("EUR","brand_key":"c")",
              R"("EUR","variant_key":"v","brand_key":"a")", R"("USD","brand_key":"b")",
              R"("EUR","brand_key":"b")"})
            lines += R"({"product_key":")" + std::string(key) + R"(","amount":1,"currency":)" +
                     rest + "}\n";
    ASSERT_TRUE(import_prices(store_->imports(), "acme", lines, 1));
    BatchQuery query = query_of("acme");
    query.with_prices = true;
    auto products = next_batch(query);
    for (auto& found : find_all(query, {"k10001", "k10000", "k10001"}))
        products.push_back(std::move(found));
    ASSERT_EQ(products.size(), 5U);
    for (const model::Product& product : products) {
        Strings found;
        for (const model::Price& price : product.prices) {
            EXPECT_EQ(price.product_key, product.key);
            found.push_back(price.variant_key + price.currency + price.brand_key);
        }
        EXPECT_EQ(found, (Strings{"EURb", "EURc", "USDb", "vEURa", "wEURa"}));
    }
}

TEST_P(CatalogStoreConformance, OfTwoPricesInOneBatchTheLaterStays) {
    import(R"({"key":"a","productType":"t"})");
    ASSERT_TRUE(import_prices(store_->imports(), "acme",
                              R"({"product_key":"a","brand_key":"x","amount":1})"
                              "\n"
                              R"({"product_key":"a","brand_key":"x","amount":3})"
                              "\n"
                              R"({"product_key":"a","brand_key":"x","amount":2})",
                              1));
    BatchQuery query = query_of("acme");
    query.with_prices = true;
    const auto found = find_all(query, {"a"});
    ASSERT_EQ(found.at(0).prices.size(), 1U);
    EXPECT_EQ(found.at(0).prices.at(0).amount, "2");
    EXPECT_EQ(found.at(0).prices.at(0).effective_to_us, model::Price::kForever);
}

TEST_P(CatalogStoreConformance, APriceReplacesTheOneOfTheSameStart) {
    import(R"({"key":"a","productType":"t"})");
    for (const char* amount : {"1", "2"}) {
        const std::string line =
            R"({"product_key":"a","brand_key":"x","amount":")" + std::string(amount) + "\"}\n";
        ASSERT_TRUE(import_prices(store_->imports(), "acme", line, 1));
    }
    ASSERT_TRUE(import_prices(store_->imports(), "acme",
                              R"({"product_key":"a","brand_key":"y","amount":"3"})", 1));
    BatchQuery query = query_of("acme");
    query.with_prices = true;
    const model::Product product = find_all(query, {"a"}).at(0);
    Strings amounts;
    for (const model::Price& price : product.prices)
        amounts.push_back(price.brand_key + price.amount);
    std::ranges::sort(amounts);
    EXPECT_EQ(amounts, (Strings{"x2", "y3"}));
}

TEST_P(CatalogStoreConformance, TemplatesBelongToOneOrganization) {
    ExportTemplates& templates = store_->templates();
    ASSERT_TRUE(templates.put("acme", {"weekly", "{}", 0}));
    ASSERT_TRUE(templates.put("acme", {"weekly", R"({"format":"csv"})", 0}));
    EXPECT_EQ(templates.find("acme", "weekly")->body_json, R"({"format":"csv"})");
    EXPECT_EQ(templates.find("umbrella", "weekly").error().code, ErrorCode::kNotFound);
    EXPECT_EQ(templates.list("acme")->size(), 1U);
    for (std::size_t index = 1; index < limits::kExportTemplatesMax; ++index)
        ASSERT_TRUE(templates.put("acme", {"t" + std::to_string(index), "{}", 0}));
    EXPECT_EQ(templates.put("acme", {"one more", "{}", 0}).error().code, ErrorCode::kConflict);
    EXPECT_EQ(templates.list("acme")->size(), limits::kExportTemplatesMax);
    EXPECT_TRUE(templates.put("umbrella", {"one more", "{}", 0}));
    ASSERT_TRUE(templates.drop("acme", "weekly"));
    EXPECT_EQ(templates.drop("acme", "weekly").error().code, ErrorCode::kNotFound);
}

TEST_P(CatalogStoreConformance, TemplatesComeByNameAndKeepTheirTime) {
    ExportTemplates& templates = store_->templates();
    const std::int64_t before = clock_.unix_us();
    for (const char* name : {"b", "a", "B"}) ASSERT_TRUE(templates.put("acme", {name, "{}", 7}));
    clock_.advance(std::chrono::seconds(1));
    ASSERT_TRUE(templates.put("acme", {"a", R"({"format":"csv"})", 7}));
    reopen();
    const auto listed = *store_->templates().list("acme");
    ASSERT_EQ(listed.size(), 3U);
    EXPECT_EQ(listed[0].name + listed[1].name + listed[2].name, "Bab");
    EXPECT_EQ(listed[0].updated_us, before);
    EXPECT_EQ(listed[1].updated_us, clock_.unix_us());
}

}  // namespace export_worker::catalog
