// The saved templates of exports, in a PostgreSQL schema.
#pragma once

#include "daemon/catalog/export_templates.hpp"
#include "daemon/postgres/database.hpp"

namespace export_worker::catalog::pg {

// Names are UTF-8 without U+0000: there is no template of another name, and put() of one is
// kInvalidArgument.
class PostgresExportTemplates final : public ExportTemplates {
public:
    // `database` outlives it.
    explicit PostgresExportTemplates(postgres::Database& database) : database_(database) {}

    Result<void> put(std::string_view organization_id, const ExportTemplate& entry) override;
    Result<ExportTemplate> find(std::string_view organization_id, std::string_view name) override;
    Result<std::vector<ExportTemplate>> list(std::string_view organization_id) override;
    Result<void> drop(std::string_view organization_id, std::string_view name) override;

private:
    postgres::Database& database_;
};

}  // namespace export_worker::catalog::pg
