// What every catalog does, whatever its database. An implementation brings a factory:
// INSTANTIATE_TEST_SUITE_P(NAME, CatalogStoreConformance, Values(CatalogFactory(...))).
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/clock.hpp"
#include "base/shared_limits.hpp"
#include "daemon/catalog/catalog_store.hpp"
#include "daemon/catalog/import_lines.hpp"
#include "daemon/catalog/limits.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/lost_answers.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {

// The catalog of the directory; nullptr, with a failure of the test: it cannot be opened.
using CatalogFactory =
    std::function<std::unique_ptr<CatalogStore>(const std::string& directory, const Clock& clock)>;

class CatalogStoreConformance : public ::testing::TestWithParam<CatalogFactory> {
protected:
    using Strings = std::vector<std::string>;

    void SetUp() override { reopen(); }
    void reopen() {
        store_.reset();
        store_ = GetParam()(dir_.path(), clock_);
        ASSERT_NE(store_, nullptr);
    }
    void import(const std::string& lines, const std::string& organization = "acme") {
        const auto report = import_products(store_->imports(), organization, lines, 1);
        ASSERT_TRUE(report) << report.error().message;
        ASSERT_EQ(report->rejected, 0) << report->errors[0].message;
    }
    // k10000, k10001, ...
    static std::string product_lines(std::size_t count, const std::string& rest = "") {
        std::string lines;
        for (std::size_t index = 0; index < count; ++index)
            lines += R"({"key":"k)" + std::to_string(10000 + index) + R"(","productType":"t")" +
                     rest + "}\n";
        return lines;
    }
    static BatchQuery query_of(const std::string& organization) {
        BatchQuery query;
        query.organization_id = organization;
        return query;
    }
    std::vector<model::Product> next_batch(BatchQuery& query) {
        std::vector<model::Product> batch;
        const auto read = store_->reader().read_batch(query, batch);
        EXPECT_TRUE(read) << read.error().message;
        if (!read) query.at_end = true;
        return batch;
    }
    Strings all_keys(BatchQuery query) {
        Strings out;
        while (!query.at_end) {
            for (const model::Product& product : next_batch(query)) out.push_back(product.key);
        }
        return out;
    }
    // Those of `keys` that are there.
    std::vector<model::Product> find_all(const BatchQuery& query, const Strings& keys) {
        std::vector<model::Product> batch;
        const auto looked_up = store_->reader().find(query, keys, batch);
        EXPECT_TRUE(looked_up) << looked_up.error().message;
        EXPECT_EQ(looked_up.value_or(0), keys.size());
        return batch;
    }
    model::Product find(const std::string& organization, const std::string& key) {
        const auto found = find_all(query_of(organization), {key});
        EXPECT_EQ(found.size(), 1U);
        return found.empty() ? model::Product() : found[0];
    }
    static Strings keys_of(const std::vector<model::Product>& products) {
        Strings out;
        for (const model::Product& product : products) out.push_back(product.key);
        return out;
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
    std::unique_ptr<CatalogStore> store_;
};

TEST_P(CatalogStoreConformance, AnImportReplacesByKeyWithinTheOrganization) {
    import(R"({"key":"a","productType":"one"})");
    import(R"({"key":"a","productType":"two"})");
    import(R"({"key":"a","productType":"three"})", "umbrella");
    EXPECT_EQ(find("acme", "a").product_type, "two");
    EXPECT_EQ(*store_->reader().count("acme"), 1);
    EXPECT_TRUE(find_all(query_of("nobody"), {"a"}).empty());
    EXPECT_EQ(*store_->reader().count("nobody"), 0);
}

TEST_P(CatalogStoreConformance, ProductsComeBackAsTheyCame) {
    const std::string line =
        R"({"key":"ä \"1\"","productType":"t","isPublished":true,"properties":{"n":"\u0000é","x":0.5}})";
    import(line);
    const std::string body = model::parse_product(line, nullptr)->body;
    for (int time = 0; time < 2; ++time) {
        const model::Product product = find("acme", "ä \"1\"");
        EXPECT_EQ(product.body, body);
        EXPECT_TRUE(product.is_published);
        EXPECT_EQ(product.publish_status, "live");
        EXPECT_EQ(product.updated_us, clock_.unix_us());
        EXPECT_EQ(*store_->reader().property_paths("acme"), (Strings{"n", "x"}));
        EXPECT_EQ(*store_->reader().count("acme"), 1);
        reopen();
    }
}

TEST_P(CatalogStoreConformance, BatchesAreBoundedAndCoverEverythingOnce) {
    constexpr std::size_t kProducts = 1234;
    import(product_lines(kProducts));
    BatchQuery query = query_of("acme");
    std::string after;
    std::size_t seen = 0;
    while (!query.at_end) {
        const auto batch = next_batch(query);
        EXPECT_LE(batch.size(), limits::kCatalogBatchRows);
        for (const auto& product : batch) {
            EXPECT_LT(after, product.key);
            after = product.key;
            ++seen;
        }
    }
    EXPECT_EQ(seen, kProducts);
}

// By the bytes of the key, whatever language the database speaks.
TEST_P(CatalogStoreConformance, KeysComeInTheOrderOfTheirBytes) {
    const Strings keys{"A", "B", "Z", "_", "a", "a b", "a-b", "ab", "z", "Ä", "ä", "€"};
    std::string lines;
    for (auto key = keys.rbegin(); key != keys.rend(); ++key)
        lines += R"({"key":")" + *key + R"(","productType":"t","properties":{")" + *key +
                 R"(":1}})" + "\n";
    import(lines);
    EXPECT_EQ(all_keys(query_of("acme")), keys);
    EXPECT_EQ(*store_->reader().property_paths("acme"), keys);
    BatchQuery query = query_of("acme");
    query.after_key = "a";
    EXPECT_EQ(all_keys(query), Strings(keys.begin() + 5, keys.end()));
}

TEST_P(CatalogStoreConformance, ABatchIsBoundedInBytes) {
    constexpr std::size_t kFull = 10;
    const std::string bulk(limits::kCatalogBatchBytes / kFull, 'x');
    import(product_lines(kFull + 2, R"(,"properties":{"bulk":")" + bulk + R"("})"));
    Strings keys = all_keys(query_of("acme"));
    BatchQuery query = query_of("acme");
    EXPECT_EQ(next_batch(query).size(), kFull);
    EXPECT_FALSE(query.at_end);
    EXPECT_EQ(next_batch(query).size(), 2U);
    EXPECT_TRUE(query.at_end);
    keys.insert(keys.begin(), "none");
    std::vector<model::Product> batch;
    EXPECT_EQ(*store_->reader().find(query, keys, batch), 1 + kFull);
    EXPECT_EQ(keys_of(batch), Strings(keys.begin() + 1, keys.begin() + 1 + kFull));
}

// A filter looks at so many products and no more, and goes on behind them.
TEST_P(CatalogStoreConformance, AFilterThatKeepsLittleGivesEmptyBatches) {
    import(product_lines(limits::kCatalogScanRows));
    import(R"({"key":"z","productType":"wanted"})");
    model::ExportFilter filter;
    filter.product_types = {"wanted"};
    BatchQuery query = query_of("acme");
    query.filter = &filter;
    EXPECT_TRUE(next_batch(query).empty());
    EXPECT_FALSE(query.at_end);
    EXPECT_EQ(keys_of(next_batch(query)), Strings{"z"});
    EXPECT_TRUE(query.at_end);
}

TEST_P(CatalogStoreConformance, WhatChangesWhileItIsReadAppearsOnce) {
    import(product_lines(limits::kCatalogBatchRows + 2));
    BatchQuery query = query_of("acme");
    EXPECT_EQ(next_batch(query).size(), limits::kCatalogBatchRows);
    import(R"({"key":"k10000","productType":"new"})"
           "\n"
           R"({"key":"k10000b","productType":"new"})"
           "\n"
           R"({"key":"k10501","productType":"new"})"
           "\n"
           R"({"key":"k10501b","productType":"new"})");
    const auto rest = next_batch(query);
    EXPECT_EQ(keys_of(rest), (Strings{"k10500", "k10501", "k10501b"}));
    EXPECT_EQ(rest[1].product_type, "new");
    EXPECT_TRUE(query.at_end);
}

TEST_P(CatalogStoreConformance, KeysAreLookedUpInTheirOrder) {
    import(product_lines(3));
    import(R"({"key":"k10001","productType":"theirs"})", "umbrella");
    const auto found = find_all(query_of("acme"), {"k10002", "none", "k10000", "k10002"});
    EXPECT_EQ(keys_of(found), (Strings{"k10002", "k10000", "k10002"}));
    EXPECT_EQ(find("acme", "k10001").product_type, "t");
    EXPECT_TRUE(find_all(query_of("acme"), {}).empty());
    std::vector<model::Product> batch{found[0], found[1]};
    EXPECT_EQ(*store_->reader().find(query_of("acme"), Strings{"none"}, batch), 1U);
    EXPECT_TRUE(batch.empty());
    const Strings many(limits::kCatalogBatchRows + 1, "none");
    EXPECT_EQ(*store_->reader().find(query_of("acme"), many, batch), limits::kCatalogBatchRows);
}

TEST_P(CatalogStoreConformance, TheSameContentAgainIsNoNewVersion) {
    const std::string one = R"({"key":"a","productType":"t","properties":{"x":1}})";
    import(one);
    const auto first = find("acme", "a");
    EXPECT_EQ(first.version, 1);
    clock_.advance(std::chrono::seconds(10));
    import(one);
    EXPECT_EQ(find("acme", "a").version, 1);
    EXPECT_EQ(find("acme", "a").updated_us, first.updated_us);
    import(R"({"key":"a","productType":"t"})");
    EXPECT_EQ(find("acme", "a").version, 2);
    EXPECT_GT(find("acme", "a").updated_us, first.updated_us);
    import(R"({"key":"a","productType":"t","version":9})");
    EXPECT_EQ(find("acme", "a").version, 9);
    EXPECT_EQ(*store_->reader().count("acme"), 1);
}

TEST_P(CatalogStoreConformance, OfAKeyThatComesTwiceTheLaterProductStays) {
    import(R"({"key":"b","productType":"first"})"
           "\n"
           R"({"key":"a","productType":"t"})"
           "\n"
           R"({"key":"b","productType":"second"})");
    EXPECT_EQ(find("acme", "b").product_type, "second");
    EXPECT_EQ(find("acme", "b").version, 2);
    EXPECT_EQ(*store_->reader().count("acme"), 2);
}

// The answer to its commit is lost; whoever imports sends the batch again.
TEST_P(CatalogStoreConformance, AnImportWithAnUnknownOutcomeCanBeRunAgain) {
    const std::string lines = product_lines(2, R"(,"properties":{"x":1})");
    testing::lose_commit_answers(1);
    const auto lost = import_products(store_->imports(), "acme", lines, 1);
    ASSERT_FALSE(lost);
    EXPECT_EQ(lost.error().code, ErrorCode::kUnknownOutcome);
    import(lines);
    EXPECT_EQ(*store_->reader().count("acme"), 2);
    EXPECT_EQ(find("acme", "k10001").version, 1);
    EXPECT_EQ(*store_->reader().property_paths("acme"), Strings{"x"});
}

TEST_P(CatalogStoreConformance, FiltersByTypeStatusAndTime) {
    import(
        "{\"key\":\"a\",\"productType\":\"mug\",\"isPublished\":true}\n"
        "{\"key\":\"b\",\"productType\":\"mug\"}\n"
        "{\"key\":\"c\",\"productType\":\"hat\",\"publish_status\":\"changed\"}");
    clock_.advance(std::chrono::seconds(10));
    const std::int64_t later = clock_.unix_us();
    import(R"({"key":"d","productType":"mug"})");
    model::ExportFilter filter;
    BatchQuery query = query_of("acme");
    query.filter = &filter;
    EXPECT_EQ(all_keys(query), (Strings{"a", "b", "c", "d"}));
    filter.product_types = {"mug", "hat"};
    filter.publish_statuses = {"draft", "changed"};
    EXPECT_EQ(all_keys(query), (Strings{"b", "c", "d"}));
    filter.updated_since_us = later;
    EXPECT_EQ(all_keys(query), Strings{"d"});
}

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

TEST_P(CatalogStoreConformance, NothingIsWrongWithACatalogThatWasWritten) {
    import(product_lines(1));
    EXPECT_EQ(store_->problem().cause, "");
    EXPECT_EQ(store_->write_errors(), 0U);
}

}  // namespace export_worker::catalog
