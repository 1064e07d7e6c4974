#include "daemon/catalog/sqlite/sqlite_catalog_store.hpp"

#include <utility>

#include "daemon/catalog/limits.hpp"
#include "daemon/catalog/sqlite/catalog_schema.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_imports.hpp"
#include "daemon/catalog/sqlite/sqlite_catalog_reader.hpp"
#include "daemon/catalog/sqlite/sqlite_export_templates.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::catalog {
namespace {

class SqliteCatalogStore final : public CatalogStore {
public:
    SqliteCatalogStore(std::unique_ptr<sqlite::Database> database, const Clock& clock)
        : database_(std::move(database)),
          imports_(*database_, clock),
          templates_(*database_, clock) {}

    CatalogReader& reader() override { return reader_; }
    CatalogImports& imports() override { return imports_; }
    ExportTemplates& templates() override { return templates_; }

    Result<void> backup(const std::string& path, const std::function<bool()>& keep_going) override {
        return database_->backup(path, keep_going);
    }
    Result<void> compact(std::chrono::milliseconds pause_max,
                         const std::function<bool()>& keep_going) override {
        return database_->compact(pause_max, keep_going);
    }
    Problem problem() const override { return database_->problem(); }
    std::uint64_t write_errors() const override { return database_->write_errors(); }

private:
    const std::unique_ptr<sqlite::Database> database_;
    SqliteCatalogReader reader_{*database_};
    SqliteCatalogImports imports_;
    SqliteExportTemplates templates_;
};

}  // namespace

Result<std::unique_ptr<CatalogStore>> open_sqlite_catalog_store(const std::string& path,
                                                                const Clock& clock,
                                                                sqlite::Durability durability) {
    EW_TRY(std::unique_ptr<sqlite::Database> database,
           sqlite::Database::open({.path = path,
                                   .application_id = kCatalogApplicationId,
                                   .migrations = kCatalogMigrations,
                                   .page_bytes = kCatalogPageBytes,
                                   .durability = durability,
                                   .read_time_max = limits::kCatalogReadTimeMax}));
    return std::make_unique<SqliteCatalogStore>(std::move(database), clock);
}

Result<void> check_sqlite_catalog_store(const std::string& path) {
    return sqlite::Database::check(
        {.path = path, .application_id = kCatalogApplicationId, .migrations = kCatalogMigrations});
}

}  // namespace export_worker::catalog
