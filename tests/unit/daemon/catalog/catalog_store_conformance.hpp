// What every catalog does with products, whatever its database. An implementation says how it is
// opened: INSTANTIATE_TEST_SUITE_P(NAME, CatalogStoreConformance, Values(CatalogUnderTest{...})).
#pragma once

#include <chrono>
#include <string>
#include <thread>
#include <vector>

#include "base/shared_limits.hpp"
#include "daemon/catalog/limits.hpp"
#include "daemon/model/limits.hpp"
#include "tests/unit/daemon/catalog/catalog_store_fixture.hpp"
#include "tests/unit/support/lost_answers.hpp"

namespace export_worker::catalog {

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

// A batch that is full does not know what follows.
TEST_P(CatalogStoreConformance, ABatchOfAllThereIsIsFollowedByAnEmptyOne) {
    import(product_lines(limits::kCatalogBatchRows));
    BatchQuery query = query_of("acme");
    EXPECT_EQ(next_batch(query).size(), limits::kCatalogBatchRows);
    EXPECT_FALSE(query.at_end);
    EXPECT_TRUE(next_batch(query).empty());
    EXPECT_TRUE(query.at_end);
    query = query_of("nobody");
    EXPECT_TRUE(next_batch(query).empty());
    EXPECT_TRUE(query.at_end);
}

// Its bytes are those of the products that the filter keeps, and none behind the last is skipped.
TEST_P(CatalogStoreConformance, AFilteredBatchIsBoundedInBytes) {
    const std::string bulk(limits::kCatalogBatchBytes / 10, 'x');
    const std::string rest = R"(","properties":{"bulk":")" + bulk + R"("}})";
    std::string lines;
    for (int index = 0; index < 12; ++index) {
        const std::string key = "k" + std::to_string(10 + index);
        lines += R"({"key":")" + key + R"(","productType":"wanted)" + rest + "\n" + R"({"key":")" +
                 key + R"(x","productType":"other"})" + "\n";
    }
    import(lines);
    model::ExportFilter filter;
    filter.product_types = {"wanted"};
    BatchQuery query = query_of("acme");
    query.filter = &filter;
    EXPECT_EQ(next_batch(query).size(), 10U);
    EXPECT_FALSE(query.at_end);
    EXPECT_EQ(keys_of(next_batch(query)), (Strings{"k20", "k21"}));
    EXPECT_TRUE(query.at_end);
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

TEST_P(CatalogStoreConformance, EachChangeOfAKeyInABatchIsMadeInItsOrder) {
    import(R"({"key":"a","productType":"t"})");
    import(R"({"key":"a","productType":"u","version":5})"
           "\n"
           R"({"key":"b","productType":"t","version":3})"
           "\n"
           R"({"key":"a","productType":"v"})"
           "\n"
           R"({"key":"b","productType":"t","version":3})"
           "\n"
           R"({"key":"a","productType":"v"})");
    EXPECT_EQ(find("acme", "a").product_type, "v");
    EXPECT_EQ(find("acme", "a").version, 6);
    EXPECT_EQ(find("acme", "b").version, 3);
    clock_.advance(std::chrono::seconds(10));
    import(R"({"key":"b","productType":"t","version":2})");
    EXPECT_EQ(find("acme", "b").version, 2);
    EXPECT_EQ(find("acme", "b").updated_us, clock_.unix_us());
    EXPECT_EQ(*store_->reader().count("acme"), 2);
}

// One that waits for the other finds its products.
TEST_P(CatalogStoreConformance, SeveralThreadsImportIntoOneOrganization) {
    constexpr int kThreads = 4;
    constexpr std::size_t kBatches = 10;
    constexpr std::size_t kProducts = 50;
    std::vector<std::thread> threads;
    for (int thread = 0; thread < kThreads; ++thread) {
        threads.emplace_back([&, thread] {
            for (std::size_t batch = 0; batch < kBatches; ++batch) {
                const std::string number = std::to_string(thread) + "." + std::to_string(batch);
                std::string lines =
                    product_lines(kProducts, R"(,"properties":{"p)" + number + R"(":1})");
                lines += R"({"key":"own)" + number + R"(","productType":"t"})";
                if (thread % 2 == 1) lines = reversed(lines);
                import(lines);
                import(product_lines(1), "org" + number);
            }
        });
    }
    for (std::thread& each : threads) each.join();
    EXPECT_EQ(*store_->reader().count("acme"), kProducts + kThreads * kBatches);
    EXPECT_EQ(all_keys(query_of("acme")).size(), kProducts + kThreads * kBatches);
    EXPECT_EQ(store_->reader().property_paths("acme")->size(), kThreads * kBatches);
    EXPECT_EQ(find("acme", "k10000").version, static_cast<std::int64_t>(kThreads * kBatches));
    EXPECT_EQ(*store_->reader().count("org3.9"), 1);
    EXPECT_EQ(store_->write_errors(), 0U);
}

TEST_P(CatalogStoreConformance, SeveralThreadsImportPricesOfOneOrganization) {
    std::vector<std::string> batches(4);
    for (std::size_t thread = 0; thread < batches.size(); ++thread) {
        for (int index = 0; index < 200; ++index)
            batches[thread] += R"({"product_key":"k)" + std::to_string(index) +
                               R"(","brand_key":"b","amount":)" + std::to_string(thread) + "}\n";
        if (thread % 2 == 1) batches[thread] = reversed(batches[thread]);
    }
    std::vector<std::thread> threads;
    for (const std::string& lines : batches) {
        threads.emplace_back([&] {
            for (int time = 0; time < 5; ++time)
                EXPECT_TRUE(import_prices(store_->imports(), "acme", lines, 1));
        });
    }
    for (std::thread& each : threads) each.join();
    import(R"({"key":"k1","productType":"t"})");
    BatchQuery query = query_of("acme");
    query.with_prices = true;
    EXPECT_EQ(next_batch(query).at(0).prices.size(), 1U);
}

// Some databases cannot hold it, and what they would make of it may be another product's.
TEST_P(CatalogStoreConformance, ALineWithANullCharacterInANameIsRefused) {
    const auto report = import_products(
        store_->imports(), "acme",
        R"({"key":"a\u0000","productType":"t"})"
        "\n"
        R"({"key":"a","productType":"t\u0000"})"
        "\n"
        R"({"key":"a","productType":"t","variants":[{"key":"v","properties":{"x":{"y\u0000":1}}}]})"
        "\n"
        R"({"key":"b","productType":"t","properties":{"x":"\u0000"}})",
        1);
    ASSERT_TRUE(report);
    EXPECT_EQ(report->imported, 1);
    ASSERT_EQ(report->errors.size(), 3U);
    EXPECT_EQ(report->errors[1].message, "productType: expected no U+0000, found 't?'");
    EXPECT_EQ(report->errors[2].message, "properties: expected no U+0000, found 'x.y?'");
    EXPECT_EQ(all_keys(query_of("acme")), Strings{"b"});
    const auto prices = import_prices(store_->imports(), "acme",
                                      R"({"product_key":"b\u0000","brand_key":"x","amount":1})", 1);
    ASSERT_TRUE(prices);
    EXPECT_EQ(prices->errors.at(0).message, "product_key: expected no U+0000, found 'b?'");
}

TEST_P(CatalogStoreConformance, NoKeyIsTakenForAnother) {
    const std::string null("a\0", 2);
    import("{\"key\":\"a\uFFFD\",\"productType\":\"a\uFFFD\"}");
    EXPECT_EQ(find_all(query_of("acme"), {null, "a\xff", "", "a\uFFFD", "a"}).size(), 1U);
    model::ExportFilter filter;
    BatchQuery query = query_of("acme");
    query.filter = &filter;
    for (const std::string& type : {null, std::string("a\xff"), std::string()}) {
        filter.product_types = {type};
        EXPECT_TRUE(all_keys(query).empty());
    }
    filter.product_types = {null, "a\uFFFD"};
    EXPECT_EQ(all_keys(query), Strings{"a\uFFFD"});
    ASSERT_TRUE(store_->templates().put("acme", {"a\uFFFD", "{}", 0}));
    for (const std::string& name : {null, std::string("a\xff")}) {
        EXPECT_EQ(store_->templates().find("acme", name).error().code, ErrorCode::kNotFound);
        EXPECT_EQ(store_->templates().drop("acme", name).error().code, ErrorCode::kNotFound);
    }
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

TEST_P(CatalogStoreConformance, NothingIsWrongWithACatalogThatWasWritten) {
    import(product_lines(1));
    EXPECT_EQ(store_->problem().cause, "");
    EXPECT_EQ(store_->write_errors(), 0U);
}

}  // namespace export_worker::catalog
