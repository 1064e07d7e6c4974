// Ends of jobs that no worker ended. Private to daemon/jobs/postgres; each inside one transaction.
//
// Jobs that others work on at the moment are passed by: they are looked at again the next time.
#pragma once

#include <cstddef>
#include <string_view>

#include "base/result.hpp"
#include "daemon/jobs/now.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// Fails what is past its deadline, at most kHousekeepingBatch; how many.
[[nodiscard]] Result<std::size_t> fail_late(postgres::Connection& connection,
                                            std::string_view actor, const Now& now);
// External jobs that were silent for longer than they allow.
[[nodiscard]] Result<std::size_t> fail_silent(postgres::Connection& connection,
                                              std::string_view actor, const Now& now);
// Fails external jobs that nobody has reported on for kExternalSilenceMax: their workers may be
// gone, and a job that never ends is never pruned.
[[nodiscard]] Result<std::size_t> fail_abandoned(postgres::Connection& connection,
                                                 std::string_view actor, const Now& now);

}  // namespace export_worker::jobs::pg
