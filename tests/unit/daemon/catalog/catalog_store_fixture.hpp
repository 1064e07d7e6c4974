// The tests of catalogs: a catalog in a directory of its own, with a clock that the test moves.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <ostream>
#include <sstream>
#include <string>
#include <vector>

#include "daemon/catalog/catalog_store.hpp"
#include "daemon/catalog/import_lines.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {

// An implementation, as the suite needs it.
struct CatalogUnderTest {
    std::string name;
    // The catalog of the directory; nullptr, with a failure of the test: it cannot be opened.
    std::function<std::unique_ptr<CatalogStore>(const std::string& directory,
                                                testing::DatabaseClock& clock)>
        open;
    // The test of `directory` has ended well, and its stores are closed.
    std::function<void(const std::string& directory)> done = [](const std::string&) {};
    // Why it cannot be tested here; empty: it can.
    std::function<std::string()> why_not = [] { return std::string(); };
};

inline void PrintTo(const CatalogUnderTest& catalog, std::ostream* out) {
    *out << catalog.name;
}

class CatalogStoreConformance : public ::testing::TestWithParam<CatalogUnderTest> {
protected:
    using Strings = std::vector<std::string>;

    void SetUp() override {
        if (const std::string why_not = GetParam().why_not(); !why_not.empty())
            GTEST_SKIP() << why_not;
        reopen();
    }
    void TearDown() override {
        store_.reset();
        if (!HasFailure() && !IsSkipped()) GetParam().done(dir_.path());
    }
    std::unique_ptr<CatalogStore> open() { return GetParam().open(dir_.path(), clock_); }
    void reopen() {
        store_.reset();
        store_ = open();
        ASSERT_NE(store_, nullptr);
    }
    void import(const std::string& lines, const std::string& organization = "acme") {
        const auto report = import_products(store_->imports(), organization, lines, 1);
        ASSERT_TRUE(report) << report.error().message;
        ASSERT_EQ(report->rejected, 0) << report->errors[0].message;
    }
    static std::string reversed(const std::string& lines) {
        Strings all;
        std::istringstream in(lines);
        for (std::string line; std::getline(in, line);) all.push_back(line);
        std::string out;
        for (auto line = all.rbegin(); line != all.rend(); ++line) out += *line + "\n";
        return out;
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
    testing::DatabaseClock clock_;
    std::unique_ptr<CatalogStore> store_;
};

}  // namespace export_worker::catalog
