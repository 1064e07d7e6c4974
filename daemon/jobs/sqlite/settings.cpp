#include "daemon/jobs/sqlite/settings.hpp"

namespace export_worker::jobs {

using sqlite::Connection;
using sqlite::Statement;

Result<std::optional<std::int64_t>> read_setting(Connection& connection, const char* name) {
    Statement row = connection.statement("SELECT value FROM setting WHERE name = ?1");
    EW_TRY(const bool found, row.bind(name).step());
    return found ? std::optional(row.integer(0)) : std::nullopt;
}

Result<void> write_setting(Connection& connection, const char* name, std::int64_t value) {
    return connection
        .statement("INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")
        .bind(name, value)
        .run();
}

Result<void> clear_setting(Connection& connection, const char* name) {
    return connection.statement("DELETE FROM setting WHERE name = ?1").bind(name).run();
}

}  // namespace export_worker::jobs
