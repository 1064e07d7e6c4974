// The registry's own time: microseconds that grow by themselves, in this life of the daemon and
// from one life to the next, whatever the wall clock said then or says now. Due times, deadlines,
// silences and deletions are times of this line. Private to daemon/jobs/sqlite and
// daemon/migration.
//
// Within one boot of the machine it follows the steady clock, also while no daemon runs. Over a
// reboot only the wall clocks of both lives are left to go by: the line then moves on by their
// difference, never back, and at most kRegistryAwayMax.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// What to add to `clock`'s steady time, in microseconds. `boot_id`: of this boot of the machine.
[[nodiscard]] Result<std::int64_t> open_time_line(sqlite::Connection& connection,
                                                  const Clock& clock, std::string_view boot_id);
// Where the line is now. Changes nothing.
[[nodiscard]] Result<std::int64_t> read_time_line(sqlite::Connection& connection,
                                                  const Clock& clock, std::string_view boot_id);
// Of this boot of the machine, as the kernel has it; empty where it cannot be read.
[[nodiscard]] std::string kernel_boot_id();
// Remembers where the line is, for a life after a reboot.
[[nodiscard]] Result<void> mark_time(sqlite::Connection& connection, const Now& now);

// A place among the jobs that wait for a start on the wall clock, in the order of their starts.
struct SchedulePlace {
    std::int64_t start_us = INT64_MIN;  // Unix time. The default is before all of them.
    std::int64_t row = 0;               // Among jobs of one start.
};
// Jobs wait for a start on the wall clock on this line. Where that is changes when the wall clock
// is set: moves the start and the deadline of the next kHousekeepingBatch jobs after `after` there.
// Returns the last one of them; nullopt: none is left. To do so again changes nothing.
[[nodiscard]] Result<std::optional<SchedulePlace>> reschedule_after(sqlite::Connection& connection,
                                                                    const SchedulePlace& after,
                                                                    const Now& now);

}  // namespace export_worker::jobs
