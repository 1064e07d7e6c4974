#include "daemon/jobs/sqlite/time_line.hpp"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <string>

#include "base/log.hpp"
#include "daemon/jobs/limits.hpp"
#include "daemon/jobs/sqlite/settings.hpp"

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

// Jobs that wait for a time on the wall clock: what that is on this line has changed if the wall
// clock was set since.
Result<void> reschedule(Connection& connection, const Now& now) {
    constexpr std::int64_t kDriftMax = 1'000'000;
    return connection
        .statement(
            "UPDATE job SET deadline_us = deadline_us + start_us + ?1 - due_us, due_us = start_us "
            "+ ?1 WHERE start_us IS NOT NULL AND status = 'pending' AND attempt = 0 AND "
            "max(due_us, start_us + ?1) > ?2 AND abs(start_us + ?1 - due_us) > ?3")
        .bind(now.us - now.wall_us, now.us, kDriftMax)
        .run();
}

}  // namespace

Result<std::int64_t> open_time_line(Connection& connection, const Clock& clock,
                                    std::string_view boot_id) {
    const std::int64_t steady_us =
        std::chrono::duration_cast<std::chrono::microseconds>(clock.steady().time_since_epoch())
            .count();
    const std::int64_t wall_us = clock.unix_us();
    const std::int64_t boot = number_of(boot_id);
    EW_TRY(const std::int64_t line_us, line_at_start(connection, steady_us, wall_us, boot));
    EW_CHECK(write_setting(connection, kOffset, line_us - steady_us));
    EW_CHECK(write_setting(connection, kBoot, boot));
    EW_CHECK(mark_time(connection, {line_us, wall_us}));
    EW_CHECK(reschedule(connection, {line_us, wall_us}));
    return line_us - steady_us;
}

Result<void> mark_time(Connection& connection, const Now& now) {
    EW_CHECK(write_setting(connection, kMark, now.us));
    return write_setting(connection, kMarkWall, now.wall_us);
}

}  // namespace export_worker::jobs
