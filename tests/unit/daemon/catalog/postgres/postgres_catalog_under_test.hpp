// PostgreSQL's catalog, for the suites of all of them.
#pragma once

#include <memory>
#include <string>

#include "daemon/catalog/postgres/postgres_catalog_store.hpp"
#include "tests/unit/daemon/catalog/catalog_store_fixture.hpp"
#include "tests/unit/support/postgres_schemas.hpp"

namespace export_worker::catalog {

inline CatalogUnderTest postgres_catalog() {
    return {.name = "PostgreSQL",
            .open = [](const std::string& directory,
                       testing::DatabaseClock& clock) -> std::unique_ptr<CatalogStore> {
                const auto* options = testing::PostgresSchemas::find(directory, clock);
                if (options == nullptr) return nullptr;
                auto store = open_postgres_catalog_store(*options);
                EXPECT_TRUE(store) << store.error().message;
                return store ? std::move(*store) : nullptr;
            },
            .done = testing::PostgresSchemas::give_back,
            .why_not =
                [] {
                    std::string why_not;
                    (void)testing::PostgresServer::get(why_not);
                    return why_not;
                }};
}

}  // namespace export_worker::catalog
