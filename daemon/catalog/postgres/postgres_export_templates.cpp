#include "daemon/catalog/postgres/postgres_export_templates.hpp"

#include <cstdint>

#include "base/text.hpp"
#include "daemon/catalog/limits.hpp"
#include "daemon/catalog/postgres/organization_lock.hpp"

namespace export_worker::catalog::pg {
namespace {

using postgres::Connection;
using postgres::Row;
using postgres::Rows;

ExportTemplate read_template(const Row& row) {
    return {row.string(0), row.string(1), row.unix_us(2)};
}

tl::unexpected<Error> not_found() {
    return fail(ErrorCode::kNotFound, "Template not found");
}

}  // namespace

Result<void> PostgresExportTemplates::put(std::string_view organization_id,
                                          const ExportTemplate& entry) {
    if (!postgres::is_storable(entry.name) || !postgres::is_storable(entry.body_json))
        return fail(ErrorCode::kInvalidArgument,
                    "template '" + printable(entry.name) +
                        "': expected UTF-8 without U+0000; PostgreSQL can hold nothing else");
    return database_.write([&](Connection& connection, std::int64_t now_us) -> Result<void> {
        EW_CHECK(lock_organization(connection, organization_id));
        EW_CHECK(connection.change(
            "INSERT INTO export_template (organization_id, name, body, updated_at) VALUES ($1, $2, "
            "$3, $4) ON CONFLICT (organization_id, name) DO UPDATE SET body = excluded.body, "
            "updated_at = excluded.updated_at",
            organization_id, entry.name, entry.body_json, postgres::UnixTime{now_us}));
        EW_TRY(const Rows counted,
               connection.query("SELECT count(*) FROM export_template WHERE organization_id = $1",
                                organization_id));
        if (counted.front().integer(0) > static_cast<std::int64_t>(limits::kExportTemplatesMax))
            return fail(ErrorCode::kConflict, "expected at most " +
                                                  std::to_string(limits::kExportTemplatesMax) +
                                                  " templates; drop one first");
        return {};
    });
}

Result<ExportTemplate> PostgresExportTemplates::find(std::string_view organization_id,
                                                     std::string_view name) {
    if (!postgres::is_storable(name)) return not_found();
    return database_.read([&](Connection& connection) -> Result<ExportTemplate> {
        EW_TRY(const Rows rows,
               connection.query("SELECT name, body, updated_at FROM export_template WHERE "
                                "organization_id = $1 AND name = $2",
                                organization_id, name));
        if (rows.empty()) return not_found();
        return read_template(rows.front());
    });
}

Result<std::vector<ExportTemplate>> PostgresExportTemplates::list(
    std::string_view organization_id) {
    return database_.read([&](Connection& connection) -> Result<std::vector<ExportTemplate>> {
        EW_TRY(const Rows rows,
               connection.query("SELECT name, body, updated_at FROM export_template WHERE "
                                "organization_id = $1 ORDER BY name",
                                organization_id));
        return rows.each(read_template);
    });
}

Result<void> PostgresExportTemplates::drop(std::string_view organization_id,
                                           std::string_view name) {
    if (!postgres::is_storable(name)) return not_found();
    return database_.write([&](Connection& connection, std::int64_t) -> Result<void> {
        EW_TRY(const Rows dropped,
               connection.query("DELETE FROM export_template WHERE organization_id = $1 AND name = "
                                "$2",
                                organization_id, name));
        if (dropped.changed() == 0) return not_found();
        return {};
    });
}

}  // namespace export_worker::catalog::pg
