// One set of suites for every catalog.
#include "tests/unit/daemon/catalog/catalog_store_conformance.hpp"
#include "tests/unit/daemon/catalog/catalog_store_prices_conformance.hpp"
#include "tests/unit/daemon/catalog/postgres/postgres_catalog_under_test.hpp"
#include "tests/unit/daemon/catalog/sqlite/sqlite_catalog_under_test.hpp"

namespace export_worker::catalog {

INSTANTIATE_TEST_SUITE_P(Sqlite, CatalogStoreConformance, ::testing::Values(sqlite_catalog()));
INSTANTIATE_TEST_SUITE_P(Postgres, CatalogStoreConformance, ::testing::Values(postgres_catalog()));

}  // namespace export_worker::catalog
