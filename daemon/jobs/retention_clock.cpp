#include "daemon/jobs/retention_clock.hpp"

#include <cstdlib>

namespace export_worker::jobs {
namespace {

using sqlite::Connection;
using sqlite::Statement;

constexpr const char* kLastRun = "last_run_us";
constexpr const char* kFound = "retention_paused_us";

Result<std::optional<std::int64_t>> setting(Connection& connection, const char* name) {
    Statement row = connection.statement("SELECT value FROM setting WHERE name = ?1");
    EW_TRY(const bool found, row.bind(name).step());
    return found ? std::optional(row.integer(0)) : std::nullopt;
}

Result<void> set(Connection& connection, const char* name, std::int64_t value) {
    return connection
        .statement("INSERT INTO setting VALUES (?1, ?2) ON CONFLICT DO UPDATE SET value = ?2")
        .bind(name, value)
        .run();
}

Result<void> clear(Connection& connection, const char* name) {
    return connection.statement("DELETE FROM setting WHERE name = ?1").bind(name).run();
}

}  // namespace

Result<bool> check_retention_clock(Connection& connection, std::chrono::seconds tolerance,
                                   const Now& now) {
    EW_TRY(const std::optional<std::int64_t> last_us, setting(connection, kLastRun));
    if (last_us && std::abs(now.wall_us - *last_us) > us_of(tolerance)) {
        EW_CHECK(set(connection, kFound, now.wall_us));
        return false;
    }
    EW_CHECK(set(connection, kLastRun, now.wall_us));
    EW_CHECK(clear(connection, kFound));
    return true;
}

Result<bool> resume_retention(Connection& connection, const Now& now) {
    EW_TRY(const std::optional<std::int64_t> found_us, setting(connection, kFound));
    EW_CHECK(set(connection, kLastRun, now.wall_us));
    EW_CHECK(clear(connection, kFound));
    return found_us.has_value();
}

Result<std::optional<RetentionPause>> retention_pause(Connection& connection) {
    EW_TRY(const std::optional<std::int64_t> found_us, setting(connection, kFound));
    if (!found_us) return std::optional<RetentionPause>();
    EW_TRY(const std::optional<std::int64_t> last_us, setting(connection, kLastRun));
    return std::optional(RetentionPause{last_us.value_or(0), *found_us});
}

}  // namespace export_worker::jobs
