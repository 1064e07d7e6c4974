#include "daemon/jobs/sqlite/time_line.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "base/io.hpp"
#include "base/json.hpp"
#include "base/log.hpp"
#include "base/text.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/settings.hpp"
#include "daemon/sqlite/rows.hpp"

namespace export_worker::jobs {
namespace {

using sqlite::Connection;

constexpr const char* kOffset = "time_offset_us";
constexpr const char* kBoot = "time_boot";
constexpr const char* kMark = "time_us";
constexpr const char* kMarkWall = "time_wall_us";

// A setting is a number: the first 15 hex digits of the id, which tell boots apart as well.
std::int64_t number_of(std::string_view boot_id) {
    std::string digits(boot_id);
    std::erase(digits, '-');
    std::int64_t out = 0;
    std::from_chars(digits.data(), digits.data() + std::min<std::size_t>(digits.size(), 15), out,
                    16);
    return out;
}

std::int64_t steady_us_of(const Clock& clock) {
    const auto steady = clock.steady().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(steady).count();
}

// Where the line is after `wall_us` without knowing how long the machine was off.
std::int64_t after_reboot(std::int64_t mark_us, std::int64_t mark_wall_us, std::int64_t wall_us) {
    const std::int64_t away_us =
        std::clamp(wall_us - mark_wall_us, std::int64_t{0}, us_of(limits::kRegistryAwayMax));
    if (away_us != wall_us - mark_wall_us)
        log_warn(
            "the wall clock says that {} s have passed since this registry was used last, before a "
            "reboot; deadlines, retries and silences of jobs count {} s",
            (wall_us - mark_wall_us) / 1'000'000, away_us / 1'000'000);
    return mark_us + away_us;
}

Result<std::int64_t> line_at_start(Connection& connection, std::int64_t steady_us,
                                   std::int64_t wall_us, std::int64_t boot) {
    EW_TRY(const auto mark_us, read_setting(connection, kMark));
    EW_TRY(const auto mark_wall_us, read_setting(connection, kMarkWall));
    EW_TRY(const auto offset_us, read_setting(connection, kOffset));
    EW_TRY(const auto last_boot, read_setting(connection, kBoot));
    if (!mark_us || !mark_wall_us || !offset_us) return wall_us;  // A new one.
    const std::int64_t steady_line_us = *offset_us + steady_us;
    if (last_boot == boot && steady_line_us >= *mark_us) return steady_line_us;
    return after_reboot(*mark_us, *mark_wall_us, wall_us);
}

// In two ranges: a comparison of both columns at once would look at all jobs of one start again for
// each batch of them.
constexpr const char* kScheduledAfter =
    "SELECT start_us, rowid, job_id FROM job WHERE start_us IS NOT NULL AND status = 'pending' AND "
    "start_us = ?1 AND rowid > ?2 UNION ALL "
    "SELECT start_us, rowid, job_id FROM job WHERE start_us IS NOT NULL AND status = 'pending' AND "
    "start_us > ?1 ORDER BY 1, 2 LIMIT ?3";

Result<void> move_to_clock(Connection& connection, const std::vector<std::string>& job_ids,
                           const Now& now) {
    constexpr std::int64_t kDriftMax = 1'000'000;
    return connection
        .statement(
            "UPDATE job SET deadline_us = deadline_us + start_us + ?1 - due_us, due_us = start_us "
            "+ ?1 WHERE job_id IN (SELECT value FROM json_each(?4)) AND attempt = 0 AND "
            "max(due_us, start_us + ?1) > ?2 AND abs(start_us + ?1 - due_us) > ?3")
        .bind(now.us - now.wall_us, now.us, kDriftMax, dump_json(nlohmann::json(job_ids)))
        .run();
}

}  // namespace

std::string kernel_boot_id() {
    auto read = read_file("/proc/sys/kernel/random/boot_id", 64);
    return read ? without_line_end(std::move(*read)) : "";
}

Result<std::int64_t> read_time_line(Connection& connection, const Clock& clock,
                                    std::string_view boot_id) {
    return line_at_start(connection, steady_us_of(clock), clock.unix_us(), number_of(boot_id));
}

Result<std::int64_t> open_time_line(Connection& connection, const Clock& clock,
                                    std::string_view boot_id) {
    const std::int64_t steady_us = steady_us_of(clock);
    const std::int64_t wall_us = clock.unix_us();
    const std::int64_t boot = number_of(boot_id);
    EW_TRY(const std::int64_t line_us, line_at_start(connection, steady_us, wall_us, boot));
    EW_CHECK(write_setting(connection, kOffset, line_us - steady_us));
    EW_CHECK(write_setting(connection, kBoot, boot));
    EW_CHECK(mark_time(connection, {line_us, wall_us}));
    return line_us - steady_us;
}

Result<void> mark_time(Connection& connection, const Now& now) {
    EW_CHECK(write_setting(connection, kMark, now.us));
    return write_setting(connection, kMarkWall, now.wall_us);
}

Result<std::optional<SchedulePlace>> reschedule_after(Connection& connection,
                                                      const SchedulePlace& after, const Now& now) {
    sqlite::Statement rows = connection.statement(kScheduledAfter);
    rows.bind(after.start_us, after.row, static_cast<std::int64_t>(limits::kHousekeepingBatch));
    SchedulePlace last;
    std::vector<std::string> job_ids;
    EW_CHECK(sqlite::for_each_row(rows, [&](const sqlite::Statement& row) {
        last = {row.integer(0), row.integer(1)};
        job_ids.push_back(row.string(2));
    }));
    EW_CHECK(move_to_clock(connection, job_ids, now));
    if (job_ids.size() < limits::kHousekeepingBatch) return std::optional<SchedulePlace>();
    return std::optional(last);
}

}  // namespace export_worker::jobs
