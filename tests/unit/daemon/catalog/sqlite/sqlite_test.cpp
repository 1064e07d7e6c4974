// What imports cost against their size, in steps of SQLite's virtual machine and in pages written.
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "daemon/catalog/import_lines.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "tests/unit/support/doubling.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/statements.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {
namespace {

constexpr double kPagesPerLine = 1.2;
constexpr std::size_t kBatchBytes = 512 * 1024;  // As exportctl sends them.

struct Cost {
    std::uint64_t steps = 0;
    std::uint64_t pages = 0;
};

class CatalogImportCost : public ::testing::Test {
protected:
    void SetUp() override { (void)testing::Statements::get(); }

    // Lines of some 430 bytes.
    static std::vector<std::string> product_lines(int count) {
        std::vector<std::string> out;
        for (int index = 0; index < count; ++index)
            out.push_back(R"({"key":"k)" + std::to_string(1'000'000 + index) +
                          R"(","productType":"t","properties":{"name":")" + std::string(370, 'n') +
                          "\"}}\n");
        return out;
    }
    static std::vector<std::string> price_lines(int count) {
        std::vector<std::string> out;
        for (int index = 0; index < count; ++index)
            out.push_back(R"({"product_key":"k)" + std::to_string(1'000'000 + index) +
                          R"(","brand_key":"b","amount":1})"
                          "\n");
        return out;
    }
    static std::vector<std::string> shuffled(std::vector<std::string> lines) {
        std::ranges::shuffle(lines, std::minstd_rand(1));  // NOLINT: the same order every time.
        return lines;
    }
    // Into an empty catalog.
    Cost cost_of(decltype(&import_products) import, const std::vector<std::string>& lines) {
        const testing::TempDir dir;
        const auto store = open_sqlite_catalog_store(dir / "catalog.db", clock_,
                                                     sqlite::Durability::kUnsyncedForTest);
        EXPECT_TRUE(store);
        const testing::Statements& statements = testing::Statements::get();
        const Cost before{statements.steps(), statements.pages_written()};
        std::string batch;
        for (const std::string& line : lines) {
            batch += line;
            if (batch.size() < kBatchBytes && &line != &lines.back()) continue;
            EXPECT_TRUE(import((*store)->imports(), "acme", batch, 1));
            batch.clear();
        }
        return {statements.steps() - before.steps, statements.pages_written() - before.pages};
    }

    struct Kind {
        decltype(&import_products) import;
        std::vector<std::string> (*lines)(int count);
    };
    static constexpr std::array<Kind, 2> kKinds{
        {{import_products, product_lines}, {import_prices, price_lines}}};

    testing::FakeClock clock_;
};

TEST_F(CatalogImportCost, TwiceTheLinesTakeTwiceTheSteps) {
    for (const Kind& kind : kKinds) {
        testing::Doubling sorted;
        testing::Doubling mixed;
        for (const int count : testing::doubling_rows()) {
            const auto lines = kind.lines(count);
            const auto rows = static_cast<std::uint64_t>(count);
            sorted.add(rows, cost_of(kind.import, lines).steps);
            mixed.add(rows, cost_of(kind.import, shuffled(lines)).steps);
        }
    }
}

TEST_F(CatalogImportCost, TwiceTheSortedLinesWriteTwiceThePages) {
    for (const Kind& kind : kKinds) {
        testing::Doubling pages;
        for (const int count : testing::doubling_rows())
            pages.add(static_cast<std::uint64_t>(count),
                      cost_of(kind.import, kind.lines(count)).pages);
    }
}

// A batch writes each page that it touches once, and a shuffled line touches one: its own, and now
// and then the one that a full page is split into. In a small catalog many lines share a page; in a
// large one none do, so that the cost of a line ends at this bound. Of sorted products 24 share a
// page: a shuffled import writes at most 29 times as many, and 16 times at 64,000 products.
TEST_F(CatalogImportCost, AShuffledLineWritesAPageAtMost) {
    for (const Kind& kind : kKinds) {
        for (const int count : testing::doubling_rows()) {
            const Cost cost = cost_of(kind.import, shuffled(kind.lines(count)));
            EXPECT_LE(static_cast<double>(cost.pages), kPagesPerLine * count) << count << " lines";
        }
    }
}

}  // namespace
}  // namespace export_worker::catalog
