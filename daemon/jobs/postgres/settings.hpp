// Numbers that the registry keeps about itself, by name. Private to daemon/jobs/postgres.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "base/result.hpp"
#include "daemon/postgres/connection.hpp"

namespace export_worker::jobs::pg {

// How long a link may live, in microseconds, and when those of a longer lifetime before have ended
// (microseconds since 1970).
inline constexpr std::string_view kLinkLifetime = "link_lifetime_us";
inline constexpr std::string_view kLinksEnd = "links_end_us";

// When retention ran last under a clock that it trusts; first, when the registry was opened.
inline constexpr std::string_view kLastRun = "last_run_us";

// Locks it until the transaction ends, if it is there.
[[nodiscard]] Result<std::optional<std::int64_t>> lock_setting(postgres::Connection& connection,
                                                               std::string_view name);
[[nodiscard]] Result<std::optional<std::int64_t>> read_setting(postgres::Connection& connection,
                                                               std::string_view name);
[[nodiscard]] Result<void> write_setting(postgres::Connection& connection, std::string_view name,
                                         std::int64_t value);
[[nodiscard]] Result<void> clear_setting(postgres::Connection& connection, std::string_view name);

}  // namespace export_worker::jobs::pg
