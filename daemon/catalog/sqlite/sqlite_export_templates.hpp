// The saved templates of exports, in catalog.db.
#pragma once

#include "base/clock.hpp"
#include "daemon/catalog/export_templates.hpp"
#include "daemon/sqlite/database.hpp"

namespace export_worker::catalog {

class SqliteExportTemplates final : public ExportTemplates {
public:
    // Both outlive it.
    SqliteExportTemplates(sqlite::Database& database, const Clock& clock)
        : database_(database), clock_(clock) {}

    Result<void> put(std::string_view organization_id, const ExportTemplate& entry) override;
    Result<ExportTemplate> find(std::string_view organization_id, std::string_view name) override;
    Result<std::vector<ExportTemplate>> list(std::string_view organization_id) override;
    Result<void> drop(std::string_view organization_id, std::string_view name) override;

private:
    sqlite::Database& database_;
    const Clock& clock_;
};

}  // namespace export_worker::catalog
