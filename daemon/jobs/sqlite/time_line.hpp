// The registry's own time: microseconds that grow by themselves, in this life of the daemon and
// from one life to the next, whatever the wall clock said then or says now. Due times, deadlines,
// silences and deletions are times of this line. Private to daemon/jobs/sqlite.
//
// Within one boot of the machine it follows the steady clock, also while no daemon runs. Over a
// reboot only the wall clocks of both lives are left to go by: the line then moves on by their
// difference, never back, and at most kRegistryAwayMax.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/clock.hpp"
#include "base/result.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// What to add to `clock`'s steady time, in microseconds. Jobs that wait for a start on the wall
// clock wait for it on this one. `boot_id`: of this boot of the machine.
[[nodiscard]] Result<std::int64_t> open_time_line(sqlite::Connection& connection,
                                                  const Clock& clock, std::string_view boot_id);
// Remembers where the line is, for a life after a reboot.
[[nodiscard]] Result<void> mark_time(sqlite::Connection& connection, const Now& now);

}  // namespace export_worker::jobs
