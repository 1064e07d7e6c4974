#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "daemon/catalog/import_lines.hpp"
#include "daemon/catalog/sqlite/catalog_schema.hpp"
#include "daemon/sqlite/database.hpp"
#include "tests/unit/support/damage.hpp"
#include "tests/unit/support/fake_clock.hpp"
#include "tests/unit/support/temp_dir.hpp"

namespace export_worker::catalog {
namespace {

std::unique_ptr<CatalogStore> open(const std::string& path, const Clock& clock) {
    auto store = open_sqlite_catalog_store(path, clock, sqlite::Durability::kUnsyncedForTest);
    EXPECT_TRUE(store) << store.error().message;
    return store ? std::move(*store) : nullptr;
}

class SqliteCatalogStore : public ::testing::Test {
protected:
    void import(CatalogStore& store, const std::string& lines) {
        EXPECT_EQ(import_products(store.imports(), "acme", lines, 1)->rejected, 0);
    }

    const testing::TempDir dir_;
    testing::FakeClock clock_;
};

TEST_F(SqliteCatalogStore, ABackupIsAWholeCatalog) {
    const auto store = open(dir_ / "catalog.db", clock_);
    import(*store, R"({"key":"a","productType":"t"})");
    ASSERT_TRUE(store->backup(dir_ / "copy.db"));
    import(*store, R"({"key":"b","productType":"t"})");
    EXPECT_EQ(*open(dir_ / "copy.db", clock_)->reader().count("acme"), 1);
}

TEST_F(SqliteCatalogStore, CompactingKeepsEverything) {
    const auto store = open(dir_ / "catalog.db", clock_);
    import(*store, R"({"key":"a","productType":"t"})");
    ASSERT_TRUE(store->compact(std::chrono::seconds(10), [] { return true; }));
    EXPECT_EQ(*store->reader().count("acme"), 1);
}

// Schema 1 counted its products only when asked, and had no states but published or not.
TEST_F(SqliteCatalogStore, AnOlderCatalogIsCounted) {
    const std::string path = dir_ / "catalog.db";
    {
        auto old = sqlite::Database::open({.path = path,
                                           .application_id = kCatalogApplicationId,
                                           .migrations = std::span(kCatalogMigrations).first(1),
                                           .page_bytes = kCatalogPageBytes,
                                           .durability = sqlite::Durability::kUnsyncedForTest});
        ASSERT_TRUE(old) << old.error().message;
        ASSERT_TRUE((*old)->write([](sqlite::Connection& connection) {
            return connection.execute(
                "INSERT INTO product VALUES ('acme', 'a', 't', 1, 5, '{}'), "
                "('acme', 'b', 't', 0, 5, '{}'), ('umbrella', 'a', 't', 0, 5, '{}')");
        }));
    }
    const auto store = open(path, clock_);
    EXPECT_EQ(*store->reader().count("acme"), 2);
    BatchQuery query;
    query.organization_id = "acme";
    std::vector<model::Product> batch;
    ASSERT_TRUE(store->reader().read_batch(query, batch));
    ASSERT_EQ(batch.size(), 2U);
    EXPECT_EQ(batch[0].publish_status, "live");
    EXPECT_EQ(batch[1].publish_status, "draft");
    EXPECT_EQ(batch[1].version, 1);
}

TEST_F(SqliteCatalogStore, AnotherDatabaseIsRefused) {
    testing::execute_in(dir_ / "catalog.db", "PRAGMA application_id = 1; CREATE TABLE x (y)");
    const auto checked = check_sqlite_catalog_store(dir_ / "catalog.db");
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().code, ErrorCode::kDataLoss);
    EXPECT_FALSE(open_sqlite_catalog_store(dir_ / "catalog.db", clock_));
    EXPECT_TRUE(check_sqlite_catalog_store(dir_ / "none.db"));
}

TEST_F(SqliteCatalogStore, ABatchThatFailsLeavesNothing) {
    const auto store = open(dir_ / "catalog.db", clock_);
    testing::refuse_writes(dir_ / "catalog.db", "property_path");
    const std::string lines = R"({"key":"a","productType":"t","properties":{"x":1}})";
    EXPECT_FALSE(import_products(store->imports(), "acme", lines, 1));
    EXPECT_EQ(*store->reader().count("acme"), 0);
    testing::allow_writes(dir_ / "catalog.db");
    import(*store, lines);
    EXPECT_EQ(*store->reader().property_paths("acme"), std::vector<std::string>{"x"});
}

}  // namespace
}  // namespace export_worker::catalog
