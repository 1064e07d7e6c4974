// SQLite's catalog, for the suites of all of them.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <utility>

#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"
#include "tests/unit/daemon/catalog/catalog_store_fixture.hpp"

namespace export_worker::catalog {

inline CatalogUnderTest sqlite_catalog() {
    return {.name = "SQLite",
            .open = [](const std::string& directory,
                       testing::DatabaseClock& clock) -> std::unique_ptr<CatalogStore> {
                auto store = open_sqlite_catalog_store(directory + "/catalog.db", clock,
                                                       sqlite::Durability::kUnsyncedForTest);
                EXPECT_TRUE(store) << store.error().message;
                return store ? std::move(*store) : nullptr;
            }};
}

}  // namespace export_worker::catalog
