#include "daemon/catalog/sqlite/sqlite_export_templates.hpp"

#include <cstdint>

#include "daemon/catalog/limits.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::catalog {
namespace {

using sqlite::Connection;
using sqlite::Statement;

ExportTemplate read_template(const Statement& row) {
    return {row.string(0), row.string(1), row.integer(2)};
}

}  // namespace

Result<void> SqliteExportTemplates::put(std::string_view organization_id,
                                        const ExportTemplate& entry) {
    const std::int64_t now = clock_.unix_us();
    return database_.write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection
                     .statement("INSERT INTO export_template (organization_id, name, body, "
                                "updated_us) VALUES (?1, ?2, ?3, ?4) ON CONFLICT DO UPDATE SET "
                                "body = ?3, updated_us = ?4")
                     .bind(organization_id, entry.name, entry.body_json, now)
                     .run());
        Statement count =
            connection.statement("SELECT count(*) FROM export_template WHERE organization_id = ?1");
        EW_TRY(const bool counted, count.bind(organization_id).step());
        if (counted && count.integer(0) > static_cast<std::int64_t>(limits::kExportTemplatesMax))
            return fail(ErrorCode::kConflict, "expected at most " +
                                                  std::to_string(limits::kExportTemplatesMax) +
                                                  " templates; drop one first");
        return {};
    });
}

Result<ExportTemplate> SqliteExportTemplates::find(std::string_view organization_id,
                                                   std::string_view name) {
    return database_.read([&](Connection& connection) -> Result<ExportTemplate> {
        Statement row = connection.statement(
            "SELECT name, body, updated_us FROM export_template WHERE organization_id = ?1 AND "
            "name = ?2");
        EW_TRY(const bool found, row.bind(organization_id, name).step());
        if (!found) return fail(ErrorCode::kNotFound, "Template not found");
        return read_template(row);
    });
}

Result<std::vector<ExportTemplate>> SqliteExportTemplates::list(std::string_view organization_id) {
    return database_.read([&](Connection& connection) -> Result<std::vector<ExportTemplate>> {
        Statement rows = connection.statement(
            "SELECT name, body, updated_us FROM export_template WHERE organization_id = ?1 ORDER "
            "BY name");
        rows.bind(organization_id);
        return sqlite::read_all(rows, read_template);
    });
}

Result<void> SqliteExportTemplates::drop(std::string_view organization_id, std::string_view name) {
    return database_.write([&](Connection& connection) -> Result<void> {
        EW_CHECK(connection
                     .statement("DELETE FROM export_template WHERE organization_id = ?1 AND name = "
                                "?2")
                     .bind(organization_id, name)
                     .run());
        if (connection.changes() == 0) return fail(ErrorCode::kNotFound, "Template not found");
        return {};
    });
}

}  // namespace export_worker::catalog
