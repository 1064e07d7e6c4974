#include "daemon/jobs/postgres/settings.hpp"

namespace export_worker::jobs::pg {
namespace {

using postgres::Connection;
using postgres::Rows;

std::optional<std::int64_t> value_of(const Rows& rows) {
    return rows.empty() ? std::nullopt : std::optional(rows.front().integer(0));
}

}  // namespace

Result<std::optional<std::int64_t>> lock_setting(Connection& connection, std::string_view name) {
    EW_TRY(const Rows rows,
           connection.query("SELECT value FROM setting WHERE name = $1 FOR UPDATE", name));
    return value_of(rows);
}

Result<std::optional<std::int64_t>> read_setting(Connection& connection, std::string_view name) {
    EW_TRY(const Rows rows, connection.query("SELECT value FROM setting WHERE name = $1", name));
    return value_of(rows);
}

Result<void> write_setting(Connection& connection, std::string_view name, std::int64_t value) {
    return connection.change(
        "INSERT INTO setting VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = "
        "excluded.value",
        name, value);
}

Result<void> clear_setting(Connection& connection, std::string_view name) {
    return connection.change("DELETE FROM setting WHERE name = $1", name);
}

}  // namespace export_worker::jobs::pg
