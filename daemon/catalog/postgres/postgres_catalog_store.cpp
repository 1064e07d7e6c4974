#include "daemon/catalog/postgres/postgres_catalog_store.hpp"

#include <string>
#include <utility>

#include "daemon/catalog/postgres/catalog_schema.hpp"
#include "daemon/catalog/postgres/postgres_catalog_imports.hpp"
#include "daemon/catalog/postgres/postgres_catalog_reader.hpp"
#include "daemon/catalog/postgres/postgres_export_templates.hpp"

namespace export_worker::catalog {
namespace {

class PostgresCatalogStore final : public CatalogStore {
public:
    PostgresCatalogStore(std::unique_ptr<postgres::Database> database, std::string schema)
        : database_(std::move(database)), schema_(std::move(schema)) {}

    CatalogReader& reader() override { return reader_; }
    CatalogImports& imports() override { return imports_; }
    ExportTemplates& templates() override { return templates_; }

    Result<void> backup(const std::string&, const std::function<bool()>&) override {
        return fail(ErrorCode::kFailedPrecondition,
                    "backup: the catalog is in PostgreSQL; run pg_dump --format=custom --schema=" +
                        schema_ + ", or pg_basebackup for the whole server");
    }
    Result<void> compact(std::chrono::milliseconds, const std::function<bool()>&) override {
        return fail(ErrorCode::kFailedPrecondition,
                    "compact: the catalog is in PostgreSQL, whose autovacuum reuses free space; "
                    "run VACUUM (FULL) on a table to give it back to the disk");
    }
    Problem problem() const override { return database_->problem(); }
    std::uint64_t write_errors() const override { return database_->write_errors(); }

private:
    const std::unique_ptr<postgres::Database> database_;
    const std::string schema_;
    pg::PostgresCatalogReader reader_{*database_};
    pg::PostgresCatalogImports imports_{*database_};
    pg::PostgresExportTemplates templates_{*database_};
};

// Every statement here finds its rows by a primary key, in its order. What the planner knows of a
// table may be old, or true of another organization, and it would then read all rows of one for
// each batch.
postgres::DatabaseOptions by_primary_key(postgres::DatabaseOptions options) {
    auto& settings = options.connect.settings;
    for (const char* name :
         {"enable_seqscan", "enable_bitmapscan", "enable_hashjoin", "enable_mergejoin", "jit"})
        settings.emplace_back(name, "off");
    settings.emplace_back("max_parallel_workers_per_gather", "0");
    return options;
}

}  // namespace

Result<std::unique_ptr<CatalogStore>> open_postgres_catalog_store(
    const postgres::DatabaseOptions& options) {
    EW_TRY(std::unique_ptr<postgres::Database> database,
           postgres::Database::open(by_primary_key(options),
                                    {.component = "catalog", .steps = pg::kCatalogMigrations}));
    return std::make_unique<PostgresCatalogStore>(std::move(database), options.connect.schema);
}

}  // namespace export_worker::catalog
