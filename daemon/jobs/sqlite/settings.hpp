// Numbers that the registry keeps about itself, by name. Private to daemon/jobs/sqlite.
#pragma once

#include <cstdint>
#include <optional>

#include "base/result.hpp"
#include "daemon/sqlite/connection.hpp"

namespace export_worker::jobs {

// How long a link may live, and when those of a longer lifetime before have ended; microseconds, of
// the registry's own time.
inline constexpr const char* kLinkLifetime = "link_lifetime_us";
inline constexpr const char* kLinksEnd = "links_end_us";

// When the daemon last ran under a clock that retention trusts, on the wall clock.
inline constexpr const char* kLastRun = "last_run_us";

[[nodiscard]] Result<std::optional<std::int64_t>> read_setting(sqlite::Connection& connection,
                                                               const char* name);
[[nodiscard]] Result<void> write_setting(sqlite::Connection& connection, const char* name,
                                         std::int64_t value);
[[nodiscard]] Result<void> clear_setting(sqlite::Connection& connection, const char* name);

}  // namespace export_worker::jobs
